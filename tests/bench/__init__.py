"""Tests that the benchmarks count what they say; none of them measures time."""
