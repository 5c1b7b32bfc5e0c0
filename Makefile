# A bare clone needs only python3 >= 3.11 and make: every target sets up what it uses, once.
#   make demo    train a small network to a tenth of its size on scikit-learn's digits (a quarter of a minute)
#   make test    run the tests        make lint    check style and format
#   make types   check the types      make docs    build the documentation
#   make clean   remove everything that was made here

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check install -c constraints.txt

.PHONY: demo test lint types docs clean

demo: $(VENV)/.recipes
	OMP_NUM_THREADS=1 $(VENV)/bin/ellzero train digits --budget params=0.1 --out runs/demo --overwrite

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(VENV)/.dev
	$(VENV)/bin/mypy

docs: $(VENV)/.dev
	$(VENV)/bin/sphinx-build -E -W --keep-going docs docs/_build/html

clean:
	rm -rf $(VENV) runs dist build docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a file is touched when its step has succeeded, and is older than what should make the step run again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ellzero needs Python 3.11 or later, found: $$($(PYTHON) --version 2>&1);" \
	       "name another one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and pinned, so that no later step can pull in another one.
$(VENV)/.torch: constraints.txt $(VENV)/.created
	$(PIP) torch
	@touch $@

$(VENV)/.recipes: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e '.[recipes]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e '.[dev]'
	@touch $@
