.PHONY: help demo test lint clean

PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin

help:  ## Show what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/installed: setup.cfg requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable '.[demo,test]'
	touch $@

demo: $(VENV)/installed  ## Learn pictures, words and voices from the embedded sample, and ask the model that comes out.
	$(BIN)/cross-modal demo --out saved_models/demo

test: $(VENV)/installed  ## Run the tests.
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed  ## Check the style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## Take away what was made, but for the runs.
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
