"""Tests of the C path by its own interface; its contract is tested with the other backends'."""
