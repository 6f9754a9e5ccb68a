"""Test suites that nobody here wrote, aimed at our demultiplexers.

Each runs in a child process with a time limit, since a defect in an event loop shows itself as a
hang. `suites` says what there is, `child` runs one in its process, `run` starts and watches the
child, and ``python -m tests.foreign SUITE --backend NAME`` does it by hand. CPython's part runs
with our own tests (`test_cpython`); `docs/foreign-suites.md` has the rest, with its counts.
"""
