# Everything is set up in .venv by the first command that needs it. Nothing outside this folder is written but
# caches: ~/.cache/runstart, and those of pip and Maven.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MPLCONFIGDIR ?= $(HOME)/.cache/runstart/matplotlib
export MPLCONFIGDIR
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Files of tests run beside each other, each worker with servers of its own; those that take longest begin.
BESIDE := --dist loadfile --no-loadscope-reorder
REAL := broker or store or real

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-real test-k8s bench fuzz lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Make .venv with everything for developing (PYTHON=python3.12 chooses the Python)
	@echo "$(VENV) is ready."

demo: $(VENV)/.installed ## Start everything on this machine and say where to look; Ctrl-C stops it
	@exec $(BIN)/runstart demo

test: $(VENV)/.installed ## Run the tests on the embedded broker and a store in a folder
	@$(BIN)/python -m pytest -n logical $(BESIDE) -m "not alone"
	@$(BIN)/python -m pytest -m alone

test-real: $(VENV)/.installed ## Run the integration tests on Apache Kafka, an S3 server and Podman (Java 17, Maven)
	@$(BIN)/python -m runstart.facility kafka podman
	@$(BIN)/python -m pytest --real -n 2 $(BESIDE) -m "($(REAL)) and not alone"
	@$(BIN)/python -m pytest --real -m "($(REAL)) and alone"

test-k8s: $(VENV)/.installed ## Run the tests on a real Kubernetes, which is built and started (root, Go 1.26, Java 17, Maven)
	@$(BIN)/python -m runstart.facility kafka cluster postgresql code-location-image operator-image
	@$(BIN)/python -m pytest --k8s -n 2 $(BESIDE) -m k8s

bench: $(VENV)/.installed-bench ## Run all benchmarks; one JSON object a line
	@$(BIN)/python -m bench

fuzz: $(VENV)/.installed ## Fuzz the decoders for ten minutes (FUZZ_SECONDS=60 for one)
	@$(BIN)/python tests/fuzz_decoders.py --seconds $(or $(FUZZ_SECONDS),600)

lint: $(VENV)/.installed ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or later, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Runstart needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) lacks its module venv (Debian: python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv $(VENV)

# Written last: an installation that was interrupted is made again.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing Runstart and what it needs into $(VENV): some minutes, once."
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/.installed-bench: pyproject.toml $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	@touch $@
