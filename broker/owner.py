"""What a connection needs of the server that owns it.

The idea: `broker.connection` is written against this list and not against `broker.server`, so the
server may be taken apart, and a test may own connections without being one.

Neighbours: `broker.server` is the one implementation. Protocols only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from broker.complaints import Complaints
from broker.config import Options
from broker.doorman import Doorman
from broker.handshake import ServerInfo
from broker.hooks import Observers
from broker.identity import Authenticator
from broker.ingress import Meters
from broker.plane import DataPlane
from broker.runqueue import RunQueue
from broker.snapshots import ConnectionInfo
from broker.switchboard import Switchboard
from broker.workers import Workers
from reactor import Reactor

if TYPE_CHECKING:
    from broker.connection import Connection
    from broker.tlscontext import ServerContext
    from broker.topics import Topics

__all__ = ["Owner"]


class Owner(Protocol):
    """What a connection needs of the server."""

    reactor: Reactor
    options: Options
    run_queue: RunQueue
    plane: DataPlane
    switchboard: Switchboard
    authenticator: Authenticator
    doorman: Doorman
    info: ServerInfo
    #: The certificates, where there is TLS; replaced as a whole by a reload.
    tls: ServerContext | None
    ingress: Meters
    complaints: Complaints
    observer: Observers
    workers: Workers
    #: There only while somebody looks at what it counts.
    topics: Topics | None

    def before_input(self) -> None:
        """Something is about to happen that may cause output."""

    def ended(self, connection: Connection, record: ConnectionInfo) -> None:
        """The session is over."""

    def gone(self, connection: Connection) -> None:
        """The stream is over, too."""

    def wall(self, moment: float) -> float:
        """The wall-clock time of a moment on the reactor's clock."""
