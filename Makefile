# make demo   own virtual environment, the main job on built-in data, pictures at the end
# make test   lint, types and tests; make test-all runs the slow ones
# make help   what else there is

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= --numprocesses=2 --dist=worksteal --durations=20
RUN := $(VENV)/bin/python

.PHONY: help demo test test-all lint format clean

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo "make lint | format | clean; PYTHON=python3.12 and VENV=folder choose others"

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	$(RUN) main.py --config=configs/resunet_lgg.py:phantom --config.data.data_dir=demo/data --workdir=demo/run

lint: $(VENV)/installed-test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/installed-test
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

test: lint
	$(RUN) -m pytest -m "not slow" $(WORKERS)

test-all: $(VENV)/installed-test
	$(RUN) -m pytest -m slow $(WORKERS)

clean:
	rm -rf $(VENV) demo
