"""All cases, by what they are about. A name is a sentence, and names one case only."""

from __future__ import annotations

from tests.wire.case import Case
from tests.wire.cases import (
    authorization,
    groups,
    handshake,
    headers,
    lines,
    login_accounts,
    login_guests,
    login_hashes,
    login_users,
    modes,
    publish,
    reserved,
    subjects,
    subscribe,
    together,
)

ALL: tuple[Case, ...] = (
    *handshake.CASES,
    *lines.CASES,
    *publish.CASES,
    *headers.CASES,
    *subscribe.CASES,
    *subjects.CASES,
    *groups.CASES,
    *modes.CASES,
    *reserved.CASES,
    *authorization.CASES,
    *login_users.CASES,
    *login_hashes.CASES,
    *login_guests.CASES,
    *login_accounts.CASES,
    *together.CASES,
)
