"""Benchmarks: each is a module that can be run, `python -m bench NAME`, and says what it measures.

Rules of this folder: peers are measured in the same run, in turns, and compared by ratios of
medians, since machines are noisy; the first run is shown apart from the steady ones; where we lose
is shown like where we win. Nothing here is a test, and no test measures time.
"""
