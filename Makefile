# make setup makes .venv; every other target sees to it by itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: setup demo test check chaos bench

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but PYTHON is '$(PYTHON)'; try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The main job on bundled data; it says where its run directory is.
demo: setup
	$(BIN)/ensemble train --data digits --members 5

test: setup
	$(BIN)/python -m pytest

# The long fault runs; the table at the end says what was injected, survived and lost.
chaos: setup
	$(BIN)/python -m pytest -m chaos

# Side by side with the peers. TorchEnsemble comes without what it asks for, which would bring another torch.
bench: setup
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps torchensemble==0.2.0
	$(BIN)/python -m examples.benchmarks

# What CI runs.
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test
