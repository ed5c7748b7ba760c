# make setup | demo | demo-seg | lint | check | test | test-all | mutants | clean; a variable is set as in: make setup TORCH=torch==2.11.0 VENV=.venv-2.11
# check is lint and the quick tests; test is every test; test-all is the same with every config at its full depth.
# mutants changes 200 expressions of models/ and weights/, one at a time, and lists the changes that no test notices. It takes
# about an hour on 2 cores; fewer: make mutants MUTANTS='--number 50'.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
# Processes that share the tests: one for each logical core, at most 8, because each takes 3 to 5 GiB. One after the other: 0.
PYTEST_WORKERS ?= logical

BIN := $(VENV)/bin
READY := $(VENV)/resnest_mm-ready
PYTEST := $(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS) --maxprocesses 8 --dist worksteal
CONFIG := configs/demo/faster-rcnn_s14_fpn_demo.py
SEG_CONFIG := configs/demo/deeplabv3_s14-d8_demo.py

.PHONY: setup demo demo-seg lint check test test-all mutants clean

setup: $(READY)

$(READY): constraints.txt pyproject.toml setup.py
	$(PYTHON) tools/setup_environment.py --venv $(VENV) --torch '$(TORCH)'
	@touch $@

demo: setup
	$(BIN)/python tools/make_demo_data.py data/demo
	$(BIN)/python tools/train.py $(CONFIG) --work-dir work_dirs/demo
	$(BIN)/python tools/report.py $(CONFIG) work_dirs/demo

demo-seg: setup
	$(BIN)/python tools/make_demo_data.py data/demo
	$(BIN)/python tools/train.py $(SEG_CONFIG) --work-dir work_dirs/demo-seg
	$(BIN)/python tools/report.py $(SEG_CONFIG) work_dirs/demo-seg

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy --strict resnest_mm
	$(BIN)/python tools/model_zoo.py --check

check: lint
	$(PYTEST) -m 'not slow'

test: setup
	$(PYTEST)

test-all: setup
	RESNEST_MM_WHOLE=1 $(PYTEST)

mutants: setup
	$(BIN)/python -m pip install --quiet --no-build-isolation -e '.[mutants]' -c $(VENV)/constraints.txt
	$(BIN)/python tests/mutants.py $(MUTANTS)

clean:
	rm -rf $(VENV) mutants data/demo work_dirs/demo work_dirs/demo-seg build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
