# Everything a fresh machine needs is Python 3.11 or later, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# where `make benchmark` writes
RESULTS ?= benchmarks/results
ON_PATH = @echo; echo "fewscan is in $(VENV). To have it on the PATH:  . $(BIN)/activate"

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs tables benchmark clean

help:  ## list what make can do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Rebuilt only when the dependencies change; a second run starts at once.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("fewscan needs Python 3.11 or later; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV): about 2 GB, several more where PyTorch comes with GPU libraries; some minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

setup: $(READY)  ## make the environment in .venv
	$(ON_PATH)

demo: $(READY)  ## the main job on a virtual cohort, end to end, in minutes
	$(BIN)/fewscan demo --out fewscan-demo
	$(ON_PATH)

lint: $(READY)  ## style and types
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/ruff format --check src tests benchmarks docs examples
	$(BIN)/mypy

test: lint  ## style, types and every test
	$(BIN)/pytest

docs: $(READY)  ## the documentation, in docs/_build/html; every warning is an error
	$(BIN)/sphinx-build -W --keep-going --jobs auto -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

tables: $(READY)  ## the tables of the results page, from the scores kept in benchmarks/results
	$(BIN)/python benchmarks/tables.py

benchmark: $(READY)  ## the speed ratios of benchmarks/, printed and written to RESULTS (benchmarks/results)
	mkdir -p $(RESULTS)
	for name in start_up training_speed sliding_window metrics_speed; do \
		$(BIN)/python benchmarks/$$name.py --out $(RESULTS)/$$name.json || exit; \
	done

clean:  ## remove the environment and what the tools cached
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis fewscan-demo docs/_build docs/methods docs/reference
