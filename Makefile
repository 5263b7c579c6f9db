# make demo   everything needed, then the dashboard; if its port is taken: make demo PORT=8502
# make test   everything needed, then every check and test
# make help   the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 8501

.PHONY: help demo test lint unit test-slow bench bench-scan bench-hunt bench-gpu zoo screenshots base browser clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -3
	@echo "make lint | unit | test-slow | bench | bench-scan | bench-hunt | bench-gpu | zoo | screenshots | clean"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,ray]"
	touch $(STAMP)

base: $(STAMP)
	$(BIN)/lorabench models pull demo

browser:
	@sh tests/install_browser.sh

demo: base
	$(BIN)/lorabench ui --port $(PORT)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit

test: base browser lint
	$(BIN)/python -m pytest -m "not slow" --ignore tests/e2e --cov --cov-report=
	$(BIN)/python -m pytest -m "not slow" tests/e2e --cov --cov-append --cov-report=term

test-slow: base
	$(BIN)/python -m pytest -m slow

bench: base
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,ray,bench]"
	$(BIN)/python tests/bench/first_light.py
	$(BIN)/python tests/bench/leave_one_out.py
	$(BIN)/python tests/bench/grid.py
	$(BIN)/python tests/bench/training.py
	$(BIN)/python tests/bench/load.py

bench-scan: base
	$(BIN)/python tests/bench/scan.py

bench-hunt: base  # trains the cohort first: hours on two cores
	$(BIN)/lorabench cohort build guard-hunt --out build/guard-hunt
	$(BIN)/python tests/bench/hunt.py lorabench/data/cohorts/guard-hunt.toml build/guard-hunt --mode quick --out build/hunts.json
	$(BIN)/python tests/bench/hunt_rival.py build/hunts.json build/guard-hunt --out build/rivals.json

bench-gpu: $(STAMP)
	$(BIN)/python tests/bench/gpu.py

zoo: base
	$(BIN)/lorabench zoo build

screenshots: base browser
	LORABENCH_SCREENSHOTS=assets/screenshots $(BIN)/python -m pytest tests/e2e -q

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
