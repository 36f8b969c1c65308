# make demo: the whole flow on real images.  make test: the tests.  make check: what CI runs.
# make test PYTHON=python3.14: in an environment of its own, .venv-python3.14.
PYTHON ?= python3
VENV ?= .venv$(if $(filter file,$(origin PYTHON)),,-$(notdir $(PYTHON)))
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: demo test test-slow bench reproduce check lint format types imports clean

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Motherlode needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V); give another: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Compat mode keeps the packages importable whatever folders lie in the working directory.
$(VENV)/.demo: setup.cfg pyproject.toml | $(PY)
	$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(PY)
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.demo

ONE := efficientnet_lite0
TWO := efficientnet_lite1
ROWS := --features pixels --features $(ONE) --features $(TWO) --features $(ONE),$(TWO)

demo: $(VENV)/.demo
	@$(PY) -m extract --backbone pixels,$(ONE),$(TWO) >&2
	@$(PY) -m probe $(ROWS) >&2
	@$(PY) -m fewshot $(ROWS) >&2
	@echo
	@$(PY) -m probe.report
	@echo
	@page=$$($(PY) -m probe.report --html data/report.html) && \
		echo "The same as a page:    file://$$page"
	@echo "Next: your own images    $(PY) -m extract --backbone $(ONE) --dataset folder:PATH"
	@echo "      what is stored     $(PY) -m store ls"
	@echo "      more backbones     $(PY) -m extract --list"

test: $(VENV)/.test
	$(PY) -m pytest

test-slow: $(VENV)/.test
	$(PY) -m pytest -m slow

check: lint types imports test

lint: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(VENV)/.test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(VENV)/.test
	$(PY) -m mypy

imports: $(VENV)/.test
	$(VENV)/bin/lint-imports

bench: $(VENV)/.test
	@for file in tests/benchmarks/bench_*.py; do echo "## $$file"; $(PY) $$file || exit 1; done

# The paper's claims at small scale: networks trained here on Fashion-MNIST and emoji, into docs/RESULTS.md.
reproduce: $(VENV)/.demo
	$(PY) tests/reproduce/run.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info build
