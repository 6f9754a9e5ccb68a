"""Tests of `reactor.aio`, our event loop for asyncio.

What asyncio documents is tested by CPython's own `test_asyncio`, which `conformance` runs against
our loop, and by libraries in wide use (`test_libraries`). The tests beside them are for what is
ours: the turn, the transport, the reactor underneath.
"""
