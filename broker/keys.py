"""What a table of configuration keys is made of: a key, the kinds of value, what a change needs.

The idea: `broker.schema` is one table of every key, but a block with many keys has its part of it
in a module of its own (`broker.leafkeys`). Both speak in these words.

Records and enumerations only, immutable, hence thread-safe. Neighbours: the tables, and whoever
reads a configuration by them, who finds these names in `broker.schema` as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

__all__ = ["Key", "Kind", "Line", "Reload", "Row", "Status"]


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


@dataclass(frozen=True)
class Key:
    """One key: the block it may stand in, its names (the best one first), what it takes, the field
    it sets, what a change of it needs, and what it means (of one refused: why).
    """

    path: str
    names: tuple[str, ...]
    kind: Kind
    field: str
    reload: Reload
    help: str
    status: Status = Status.SERVED


@dataclass(frozen=True)
class Row:
    """A line of the guide: `default` is as a file writes it, and empty where there is none."""

    key: Key
    default: str


#: A line of a table: names (the best one first), kind, field, what a change needs, help.
Line: TypeAlias = tuple[str, Kind, str, Reload, str]
