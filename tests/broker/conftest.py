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
    virtual = ("virtual_broker", "virtual_cluster", "virtual_tree")
    for name in (f"tests.support.{one}" for one in virtual):
        module = sys.modules.get(name)
        if module is not None:
            module.close_all()
