# The commands of this repository. `make -f tests.mk routing` is the first one to type.
# A suite's label is a target: routing today, more as suites are written. ENV= picks the environment, ARGS= goes to pytest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV ?= embedded
ARGS ?=
FUZZ_SEED ?= 1
# Every folder below suites/ is a suite, its name the label and the target.
SUITES := $(notdir $(patsubst %/,%,$(dir $(wildcard suites/*/__init__.py))))

.PHONY: help venv system test lint types contracts unit fuzz suites clean $(SUITES)

help:
	@echo "make -f tests.mk SUITE      run one suite: $(SUITES)   [ENV=embedded ARGS='-k split -n 2']"
	@echo "make -f tests.mk test       everything CI runs: lint, types, contracts, unit and component tests, suites"
	@echo "make -f tests.mk fuzz       100,000 malformed requests at the API server (CI: 2,000) [FUZZ_SEED=1]"
	@echo "make -f tests.mk venv       make $(VENV) and install what is missing"

venv: system $(VENV)/.installed

system:
	@PYTHON=$(PYTHON) VENV=$(VENV) bash .ci/system-packages

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing meshtest and its packages into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m compileall -q kubeclient meshtest reference suites
	@touch $@

$(SUITES): venv
	$(BIN)/pytest -m $@ --env $(ENV) $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports

unit: venv
	$(BIN)/pytest tests $(ARGS)

# A seed of one's own finds other things; the failing request is in the message, and the same seed repeats it.
fuzz: venv
	MESHTEST_FUZZ_REQUESTS=100000 MESHTEST_FUZZ_SEED=$(FUZZ_SEED) \
		$(BIN)/pytest tests/embedded/apiserver/test_apiserver_fuzz.py --timeout 1800 $(ARGS)

suites: venv
	$(BIN)/pytest --env $(ENV) $(ARGS)

test: lint types contracts unit suites

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
