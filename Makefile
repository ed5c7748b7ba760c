# make setup | demo | demo-seg | test | test-all | check | clean; a variable is set as in: make setup TORCH=torch==2.11.0 VENV=.venv-2.11
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv

BIN := $(VENV)/bin
READY := $(VENV)/resnest_mm-ready
CONFIG := configs/demo/faster-rcnn_s14_fpn_demo.py
SEG_CONFIG := configs/demo/deeplabv3_s14-d8_demo.py

.PHONY: setup demo demo-seg test test-all check clean

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

test: setup
	$(BIN)/python -m pytest

test-all: setup
	RESNEST_MM_WHOLE=1 $(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy --strict resnest_mm
	$(BIN)/python tools/model_zoo.py --check
	$(BIN)/python -m pytest -m 'not slow'

clean:
	rm -rf $(VENV) data/demo work_dirs/demo work_dirs/demo-seg build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
