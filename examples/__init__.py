"""Short programs to start from, each run by a test.

    python -m examples.echo              listen, and send back what comes
    python -m examples.chat              lines, and telling many peers at once
    python -m examples.proxy HOST PORT   two streams, one pausing the other: back pressure
    python -m examples.udp               datagrams
    python -m examples.timers            one-shot, periodic and cancelled timers, deferred calls
    python -m examples.in_asyncio        a reactor inside an asyncio program
    python -m examples.on_asyncio        the other way round: asyncio on our demultiplexers
    python -m examples.in_tk             a reactor inside a Tk program
    python -m examples.virtual_time      a test that lets an hour pass in no time
    python -m examples.in_process_broker a NATS broker in your own process
    python -m examples.twisted_reactor   a reactor for Twisted, on ours
    python -m examples.classroom         a lesson of thousands, over a cluster whose nodes die

Those that listen take a port (default: any free one), say where they listen, and end with Ctrl-C.
"""
