# Everything a developer types. On a machine with only Python 3.11+ and make: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
# Three keep two cores busy, since some tests wait for time-outs.
TEST_JOBS ?= 3
SEEDS ?= 200000

PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv install dev test lint format types tests campaign traces twins mutants soak demo bench bench-check clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | while IFS='|' read -r name does; do \
		printf '  make %-11s %s\n' "$$name" "$$does"; done

venv: $(VENV)/.made  ## an empty environment in .venv (PYTHON=python3.12 chooses the interpreter)

install: $(VENV)/.installed  ## bftledger into .venv, at the versions of constraints.txt

dev: $(VENV)/.installed-dev  ## the same with what the tests need

demo: install  ## a new group of four, 1,000 transactions, a killed primary, an audit
	$(BIN)/bftledger demo

test: lint types tests  ## lint, types and all tests: what has to pass before a commit

lint: dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: dev  ## rewrites the sources as the linter wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: dev  ## mypy --strict
	$(BIN)/mypy --strict src tests $(wildcard bench/*.py)

tests: dev  ## the tests alone, in TEST_JOBS processes
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile

campaign: dev  ## SEEDS runs of the simulator, each from a seed of its own (200000: hours)
	$(BIN)/bftledger sim --seeds $(SEEDS) --jobs $(JOBS)

traces: SEEDS = 10000
traces: dev  ## SEEDS runs (10000), twice, with another hash seed: whether every trace is the same
	$(BIN)/python -m tests.sim.twice --seeds $(SEEDS) --jobs $(JOBS)

twins: dev  ## every scenario of one twin among four replicas, in two partitions and three views
	$(BIN)/bftledger sim --twins 1 --jobs $(JOBS)

mutants: dev  ## looks for the seeds that catch the planted bugs, and says which
	$(BIN)/python -m tests.mutants.hunt --jobs $(JOBS)

soak: dev  ## runs of new seeds until Ctrl-C, every tenth in a network of its own (--network mixed)
	@first=$$(date +%s)000; trap 'exit 130' INT TERM; while :; do \
		$(BIN)/bftledger sim --seeds 9000 --first $$first --jobs $(JOBS) || true; \
		$(BIN)/bftledger sim --seeds 1000 --first $$first --jobs $(JOBS) --network mixed || true; \
		first=$$((first + 9000)); \
	done

bench: dev  ## throughput and latency of a local group of four, and the speed of the simulator
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/simulator.py

bench-check: dev  ## whether a path of the core has got slower than bench/baseline.json says
	$(BIN)/python bench/check.py

clean:  ## removes the environment and what the tools left; not keys, configurations or ledgers
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src $(wildcard tests bench) -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON): install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) --version 2>&1) is too old: name a Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "make: $(PYTHON) cannot make environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The build backend comes first and at its pinned version, so the build needs no environment of its own.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt hatchling editables
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@
