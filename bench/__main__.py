"""`python -m bench NAME [options]`: run one benchmark.

python -m bench ring --help
python -m bench connections --help
"""

from __future__ import annotations

import sys
from importlib import import_module

BENCHMARKS = {
    "ring": "libevent's ring: what one event costs, by backend and by number of descriptors",
    "connections": "many connections to one broker: memory, heartbeats, deliveries",
}


def main() -> int:
    """Run the benchmark named on the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHMARKS:
        lines = "\n".join(f"  {name:12} {text}" for name, text in BENCHMARKS.items())
        print(f"usage: python -m bench NAME [options]\n\n{lines}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    status: int = import_module(f"bench.{name}").main(sys.argv[2:])
    return status


if __name__ == "__main__":
    sys.exit(main())
