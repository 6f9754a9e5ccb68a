"""Micro-costs with pytest-benchmark: `make bench`. Not collected by `make test`."""
