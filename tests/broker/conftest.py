"""What the tests of the broker share: virtual brokers end with the test that made them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import virtual_broker


@pytest.fixture(autouse=True)
def virtual_brokers_end_with_their_test() -> Iterator[None]:
    """Whatever the test did with them."""
    yield
    virtual_broker.close_all()
