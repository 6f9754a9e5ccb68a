"""What the tests of the broker share: virtual brokers end with the test that made them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def virtual_brokers_end_with_their_test() -> Iterator[None]:
    """Whatever the test did with them."""
    yield
    # Not imported for this: it would make every test here depend on the whole broker.
    virtual_broker = sys.modules.get("tests.support.virtual_broker")
    if virtual_broker is not None:
        virtual_broker.close_all()
