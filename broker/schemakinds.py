"""What may be said of a configuration key: what it takes, and what a change of it needs.

The idea: the words of the tables in `broker.schema` and `broker.schemapeers`, which are about
different blocks and share nothing else.

Neighbours: these two; whoever reads or reloads imports the names from `broker.schema`. Imports
nothing of ours.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Kind", "Line", "Reload", "Status"]


class Kind(Enum):
    """What a key takes; the text is for people."""

    TEXT = "text"
    NAME = "text without blanks"
    SECRET = "text, never shown"
    SWITCH = "true or false"
    INTEGER = "whole number"
    COUNT = "whole number of at least 1; 0: the default"
    LIMIT = "whole number; 0 or less: no limit"
    CONNECTIONS = "whole number of at least 1"
    TOKENS = "whole number from 1 to 255"
    SIZE = "bytes, as in 64kb"
    PORT = "port; -1: any free one"
    MONITOR_PORT = "port; -1: any free one; 0: off"
    LISTEN = "host:port, or a port"
    MONITOR_LISTEN = "host:port or a port, of the monitor"
    DURATION = 'duration, as in "2m30s"'
    SPAN = 'duration in quotes, as in "30s"'
    SECONDS = "seconds, or a duration"
    RATE = "number or size per second"
    TEXTS = "text, or an array of texts"
    SUBJECTS = "subject, or an array of subjects"
    CHOICE = "one of a few words"
    MAP = "map"
    ARRAY = "array of maps"
    NAMED_MAPS = "map of maps"
    OTHER = "see below"


class Reload(Enum):
    """What a change needs while the broker runs: nothing, some action, or a restart."""

    LIVE = "live"
    ACT = "act"
    RESTART = "restart"


class Status(Enum):
    """Whether we serve a key, always do what it asks for, or refuse it."""

    SERVED = "served"
    MOOT = "moot"
    REFUSED = "refused"


#: A key in a table: names, what it takes, the field it sets, what a change needs, what it means.
Line = tuple[str, Kind, str, Reload, str]
