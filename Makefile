# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
#
# Everything happens in .venv, which the first command makes. Each extra of pyproject.toml has a
# stamp file: it is installed again only after pyproject.toml or setup.py has changed.

PYTHON ?= python3
VENV   ?= .venv
HOST   ?= 127.0.0.1
PORT   ?= 4222
# Further flags: for the broker (make run ARGS='-m 8222 -DV'), for pytest, for the benchmark.
ARGS        ?=
PYTEST_ARGS ?=
BENCH_ARGS  ?= --quick

BIN     := $(VENV)/bin
INSTALL  = $(BIN)/python -m pip install --quiet --editable

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# ---------------------------------------------------------------- the two commands

define TRY_NEXT
Starting the broker on nats://$(HOST):$(PORT) -- Ctrl-C stops it. Any NATS client can use it.
To try it without one, paste this into a second terminal; it prints all that is said to it:

  $(BIN)/python -c "import socket; s = socket.create_connection(('$(HOST)', $(PORT))); s.sendall(b'SUB greet.> 1\r\n'); [print(line) for line in s.makefile('rb')]"

and this into a third; the second prints "hello":

  $(BIN)/python -c "import socket; s = socket.create_connection(('$(HOST)', $(PORT))); s.sendall(b'PUB greet.world 5\r\nhello\r\nPING\r\n'); f = s.makefile('rb'); print(f.readline(), f.readline())"

endef
export TRY_NEXT

.PHONY: run
run: $(VENV)/.run.stamp  ## install, start the broker on HOST:PORT, say what to try next
	@printf '%s\n' "$$TRY_NEXT"
	@$(BIN)/python -m broker -a $(HOST) -p $(PORT) $(ARGS)

.PHONY: test
test: $(VENV)/.test.stamp  ## install what tests need and run them all
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# ---------------------------------------------------------------- everything else

.PHONY: check
check: lint types imports docs  ## all of it: format, lint, types, imports, docs, tests, coverage
	@$(MAKE) --no-print-directory test PYTEST_ARGS='--cov --cov-report=term $(PYTEST_ARGS)'

.PHONY: lint
lint: $(VENV)/.dev.stamp  ## format (checked, not changed) and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: format
format: $(VENV)/.dev.stamp  ## format all files, mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: types
types: $(VENV)/.dev.stamp  ## mypy --strict
	$(BIN)/mypy --strict

.PHONY: imports
imports: $(VENV)/.dev.stamp  ## the floors: imports go down only
	$(BIN)/lint-imports

.PHONY: docs
docs: $(VENV)/.docs.stamp  ## the documentation, warnings as errors, into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

.PHONY: bench
bench: $(VENV)/.bench.stamp  ## the benchmarks: two minutes, then the micro-costs (BENCH_ARGS= for all)
	$(BIN)/python -m bench $(BENCH_ARGS)
	$(BIN)/python -m pytest bench/micro --benchmark-columns=min,median,iqr,rounds

# The C is tested in a copy of the tree, built with sanitizers; what they find ends the run. Of its two
# backends, io_uring is left out where the kernel does not allow it, as in many containers.
define C_BACKENDS
from reactor.demux import available
print(*(f"--backend={name}" for name in available() if name in ("epoll_c", "io_uring")))
endef
export C_BACKENDS

SANITIZE := build/sanitize
SANITIZED_TESTS := tests/reactor/test_demux.py tests/reactor/test_handles.py tests/reactor/test_hard_bugs_*.py \
                   tests/reactor/test_stream*.py tests/reactor/test_lane.py tests/reactor/test_io_uring*.py \
                   tests/epoll_ext

.PHONY: sanitize
sanitize: $(VENV)/.dev.stamp  ## the C path under AddressSanitizer and UBSan
	rm -rf $(SANITIZE) && mkdir -p $(SANITIZE)
	cp -r _epoll_ext reactor tests pyproject.toml README.md LICENSE $(SANITIZE)/ && rm -f $(SANITIZE)/_epoll_ext/_native*
	cd $(SANITIZE) && CFLAGS='-Werror -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all' \
	    $(CURDIR)/$(BIN)/python _epoll_ext/build.py >/dev/null
	backends=$$($(BIN)/python -c "$$C_BACKENDS") && cd $(SANITIZE) && LD_PRELOAD="$$(cc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 \
	    $(CURDIR)/$(BIN)/python -m pytest -q -p no:cacheprovider $$backends $(SANITIZED_TESTS)

.PHONY: dist
dist: $(VENV)/.dev.stamp  ## source distribution and wheel, into dist/
	rm -rf dist
	$(BIN)/python -m build

# Nothing of the source tree is in reach: what works here, works for whoever installs the wheel.
SMOKE := build/smoke
define SMOKE_TEST
import socket
from broker import Broker
from reactor.demux import available
with Broker(port=0) as broker, socket.create_connection((broker.host, broker.port)) as client:
    client.sendall(b"PING\r\n")
    assert client.makefile("rb").readlines(100)[0].startswith(b"INFO {")
print("the wheel serves; demultiplexers:", *available())
endef
export SMOKE_TEST

.PHONY: smoke
smoke: dist  ## the wheel, installed into an empty environment, serves a client
	rm -rf $(SMOKE) && $(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/python -m pip install --quiet dist/*.whl
	cd $(SMOKE) && ./bin/python -c "$$SMOKE_TEST"

.PHONY: clean
clean:  ## remove all that these commands have made
	rm -rf _epoll_ext/_native* bench/_build $(VENV) docs/_build dist build htmlcov .coverage .coverage.* *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /  make \1\t/' | expand -t 16

# ---------------------------------------------------------------- how things get installed

# Made anew when broken off half way: the stamp is touched only after pip is known to work.
$(VENV)/.venv.stamp:
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null || { \
	    rm -rf $(VENV); \
	    echo "make: no virtual environment could be made by '$(PYTHON) -m venv'." >&2; \
	    echo "      On Debian or Ubuntu: apt-get install python3-venv. Or name another Python," >&2; \
	    echo "      3.10 or later: make run PYTHON=python3.12" >&2; \
	    exit 1; }
	@touch $@

$(VENV)/.run.stamp: $(VENV)/.venv.stamp pyproject.toml setup.py
	@echo "Installing into $(VENV) ..."
	@$(INSTALL) .
	@touch $@

$(VENV)/.test.stamp $(VENV)/.docs.stamp $(VENV)/.bench.stamp: $(VENV)/.%.stamp: $(VENV)/.venv.stamp pyproject.toml setup.py
	@echo "Installing into $(VENV), with what '$*' needs ..."
	@$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.run.stamp

# The extra [dev] holds the others, so their stamps are touched with its own.
$(VENV)/.dev.stamp: $(VENV)/.venv.stamp pyproject.toml setup.py
	@echo "Installing into $(VENV), with what development needs ..."
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.run.stamp $(VENV)/.test.stamp $(VENV)/.docs.stamp $(VENV)/.bench.stamp
