# Every target sets up what it needs in .venv by itself and is quick the second time.

PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
BIN := .venv/bin
SCENARIO ?= memory-leak
# One worker more than cores: most tests wait for something half of their time.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1 )))
PYTEST_ARGS ?= -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-servers lint format bench bench-diagnosis examples screenshots clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: .venv/run.stamp ## the console on an example incident (SCENARIO=memory-leak)
	@$(BIN)/infdiag demo $(SCENARIO)

test: .venv/dev.stamp ## all tests
	$(BIN)/pytest $(PYTEST_ARGS)

test-servers: .venv/dev.stamp ## the checks against real model servers, each in an environment of its own (.venv-servers)
	$(BIN)/python -m tests.live.environments
	$(BIN)/pytest -m live -rs --durations=3 tests/live

lint: .venv/dev.stamp ## ruff, mypy --strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.stamp ## measure start-up, CPU, bytes to the terminal, memory and the load check (beside ab and hey)
	$(BIN)/python -m benchmarks

bench-diagnosis: .venv/dev.stamp ## every scenario of the lab through triage: how often the diagnosis is right
	$(BIN)/python -m benchmarks.diagnosis

examples: .venv/dev.stamp ## make the example reports in docs/ anew
	$(BIN)/python -m docs.examples

screenshots: .venv/dev.stamp ## make the pictures of the README anew
	$(BIN)/python -m screenshots

clean: ## remove what the other targets made
	rm -rf .venv .venv-servers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "infdiag needs Python 3.11 or newer; none was found. Install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || "$(PYTHON)" -m virtualenv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/run.stamp: pyproject.toml | .venv/bin/python
	@echo "setting up .venv (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	@echo "setting up .venv for development (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/run.stamp
