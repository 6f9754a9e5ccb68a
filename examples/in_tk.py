"""A reactor inside a Tk program: a window that shows what it is sent.

    python -m examples.in_tk [PORT]
    nc 127.0.0.1 PORT                 (write something; "quit" closes the window)

No thread: Tk turns the reactor whenever that has something to do, so a handler may use widgets.
"""

from __future__ import annotations

import sys
import tkinter

from reactor import Reactor, Stream, StreamHandler, attach_to_tk, listen


class Show(StreamHandler):
    """One peer."""

    def __init__(self, label: tkinter.Label) -> None:
        self.label = label

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Show it, and say so."""
        text = data.decode(errors="replace").strip()
        self.label.configure(text=text)
        stream.write(f"shown: {self.label.cget('text')}\n".encode())
        if text == "quit":
            stream.close()
            # Not at once: the stream still has to write.
            self.label.after(100, self.label.quit)


def main(port: int = 0) -> None:
    """Show the window until it is closed."""
    window = tkinter.Tk()
    label = tkinter.Label(window, text="nothing yet", width=40, height=5)
    label.pack()
    with Reactor() as reactor:
        attachment = attach_to_tk(reactor, window)
        listener = listen(reactor, ("127.0.0.1", port), lambda: Show(label))
        print(f"listening on 127.0.0.1 port {listener.port}", flush=True)
        window.mainloop()
        attachment.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
