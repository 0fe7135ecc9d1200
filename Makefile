# Two commands for a fresh machine with Python 3.11 or newer, make and pip: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo_out
# torch is asked for by itself first: on Linux without an NVIDIA GPU from the index of CPU builds (tools/install_torch.py).
TORCH ?= torch==2.13.0
JOBS ?= 2
# `make env LOCK=1` (with a fresh VENV) installs the exact versions of requirements-lock.txt; tools/lock.py makes it.
LOCK ?=
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(LOCK),-c requirements-lock.txt)

.PHONY: demo test lint security audit types layers unit campaign env env-dev lock bench browser dist docs docs-check clean

demo: env
	$(BIN)/panohead demo --out $(OUT)

test: env-dev lint types layers unit

lint: security
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Code that starts code or believes a file; dependencies that a release may break. `make audit` asks a database online for
# known holes in the locked versions.
security:
	$(BIN)/bandit -q -c pyproject.toml -r src tools
	$(BIN)/python tools/check_dependencies.py --offline

audit: env-dev
	$(BIN)/python tools/check_dependencies.py

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

# Files go to the processes whole, those with slow tests first. Compiled Python is kept, whatever the shell's settings are:
# every process of the tests would compile the package again.
unit:
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -q

# The viewer in Chromium, minutes of a machine that does nothing else.
browser: env-dev
	PANOHEAD_BROWSER=1 $(BIN)/python -m pytest -n 0 -q tests/viewer/test_viewer_in_browser.py

# Thousands of hostile inputs and kills in half an hour; the same command continues. Counts by family: campaign/counts.json
SEED ?= 0
campaign: env-dev
	PYTHONPATH=tests $(BIN)/python -m hostile.campaign --out campaign --seed $(SEED)

bench: env-dev
	$(BIN)/python -m benchmarks

docs-check: env-dev
	$(PIP) -e ".[face]"
	$(BIN)/python tools/check_docs.py

# The documentation site, site/index.html; warnings are errors.
docs: env-dev
	$(PIP) -e ".[docs]"
	$(BIN)/python tools/docs_site.py

# Wheel and source distribution in dist/, and the wheel tried in fresh environments of every Python that is installed.
dist: env-dev
	$(BIN)/python tools/dist.py

lock: env-dev
	$(BIN)/python tools/lock.py

env: $(VENV)/.runtime
env-dev: $(VENV)/.dev

$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("PanoHead needs Python 3.11 or newer; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py "$(TORCH)" $(if $(LOCK),-c requirements-lock.txt)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) campaign build dist site .mypy_cache .ruff_cache .import_linter_cache
