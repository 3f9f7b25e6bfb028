# `make` lists what it can do. PORT, DATA_DIR, DATABASE_URL and others: see README.md.
PY := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run journey test test-slow lint fix reset seed-large bench docs

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## make .venv, fetch the packages; nothing to do when the locks are as before
	@PYTHON='$(PYTHON)' dev/setup.sh

run: setup ## run the whole system with demo data; Ctrl-C stops it
	@exec $(PY) -m dev.run

journey: setup ## walk the main journey through a running system and tell each step
	@$(PY) -m dev.journey $(ARGS)

test: setup ## run the tests but the slow ones; ARGS are pytest's
	@dev/tools.sh
ifeq ($(strip $(ARGS)),)
	@$(PY) -m pytest -n 3 -m "not slow and not alone"
	@$(PY) -m pytest -m "not slow and alone"
else
	@$(PY) -m pytest -m "not slow" $(ARGS)
endif

test-slow: setup ## run the tests of faults and load, which take minutes
	@dev/tools.sh
	@$(PY) -m pytest -m slow $(ARGS)

lint: setup ## check style, types, who imports whom, and what tests import
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) -m tests

fix: setup ## correct what ruff can correct by itself
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

reset: setup ## forget the local data, unless the system is running
	@$(PY) -m dev.reset

seed-large: setup ## fill the local database with a million invented reports; ARGS are dev.seed's
	@$(PY) -m dev.seed $(ARGS)

bench: setup ## measure beside peers, in a quarter of an hour; ARGS are bench's
	@bench/setup.sh
	@$(PY) -m bench $(ARGS)

docs: setup ## write the generated pages of docs/ anew
	@$(PY) -m dev.docs
