PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TEST_STAMP := .venv/.test-installed
SUBMISSIONS := $(dir $(wildcard submissions/*/pyproject.toml))
PACKAGES := $(filter-out %/tests,$(patsubst %/__init__.py,%,$(wildcard submissions/*/*/__init__.py)))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest

export HF_HUB_OFFLINE = 1

.PHONY: help library install demo board docs test test-short test-long lint

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

library: $(STAMP) ## create .venv with the project and the baseline submissions

install: $(TEST_STAMP) ## the same and the test tools

$(STAMP): pyproject.toml constraints.txt $(SUBMISSIONS:=pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt setuptools
	@echo "installing cloakbench and its libraries into .venv: several GB and minutes; the licence of pyiqa is non-commercial"
	$(BIN)/pip install -c constraints.txt -e .
	$(BIN)/pip install -q --no-deps --no-build-isolation $(SUBMISSIONS:%=-e %)
	@touch $@

$(TEST_STAMP): $(STAMP)
	$(BIN)/pip install -c constraints.txt -e '.[test]'
	@touch $@

demo: library ## PhotoGuard and the references through mini-quick, then the page
	@$(BIN)/cloakbench run mini-quick --protection photoguard --workers 2
	@$(BIN)/cloakbench board mini-quick --out site/mini-quick

board: library ## render the committed records of the full mini run
	@$(BIN)/cloakbench board --store leaderboards/reference/mini --unofficial --out site/mini

docs: install ## the documentation as a site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict -f benchmark/docs/mkdocs.yml
	@echo file://$(CURDIR)/site/docs/index.html

# Types are checked beside the tests: mypy runs on one core.
test: $(TEST_STAMP) ## style, types, and everything but the long checks
	@$(MAKE) --no-print-directory -j 2 lint test-short

# Three processes for two cores: some tests wait.
test-short: $(TEST_STAMP) ## everything but style, types and the long checks
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder --durations=25 -m 'not long'

test-long: $(TEST_STAMP) ## the long checks
	$(PYTEST) -m long --durations=0

lint: $(TEST_STAMP) ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict $(PACKAGES)
