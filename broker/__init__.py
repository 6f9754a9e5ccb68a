"""A publish/subscribe message broker that speaks the NATS protocol, as a program and as an object.

The program is ``python -m broker`` (or the console script ``reactor-broker``) and understands
nats-server's flags. The object is `Broker`::

    from broker import Broker

    with Broker(port=0) as b:  # its own thread and reactor, ready to serve when the block is
    entered
        print(b.url)

Only these names are public. They are imported on first use, because most modules of this package
are pure functions and data that a program may want without paying for sockets and a reactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config import Options, OptionsError
    from broker.embedded import Broker
    from broker.snapshots import BrokerStats, ConnectionInfo

__all__ = ["Broker", "BrokerStats", "ConnectionInfo", "Options", "OptionsError", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Broker": "broker.embedded",
    "BrokerStats": "broker.snapshots",
    "ConnectionInfo": "broker.snapshots",
    "Options": "broker.config",
    "OptionsError": "broker.config",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value  # the next access costs nothing
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
