# What a user and a developer type. Everything lands inside this folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Matplotlib would write its font cache to the home folder; what JAX compiles is kept and shared.
RUN := env MPLCONFIGDIR="$(CURDIR)/.cache/matplotlib" BAYES_DDP_CACHE="$(CURDIR)/.cache/jax"
READY := .venv/.ready
LOCKED := .venv/.locked

.PHONY: help setup demo test test-slow mutants lint check format bench docs physics models lock clean

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## Make .venv from requirements.lock (every other target does it when needed)

demo: $(READY)  ## Simulate 64 stars, read, fit, write catalogue and pictures to runs/demo/output
	$(RUN) $(BIN)/bayes-ddp demo

test: $(READY)  ## Run the tests
	$(RUN) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)  ## Run the slow tests
	$(RUN) $(BIN)/python -m pytest -m slow

mutants: $(READY)  ## Plant the faults of tests/mutants.toml one at a time; every one must be noticed
	$(RUN) $(BIN)/python tests/mutants.py

lint: $(READY)  ## Check format, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

check: lint test  ## Check format, lint and types, then run the tests

format: $(READY)  ## Format the code and apply the safe fixes of the linter
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## Run every benchmark
	@for file in benchmarks/*.py; do \
		[ -e "$$file" ] || { echo "No benchmark in benchmarks/."; break; }; \
		echo "== $$file"; $(RUN) $(BIN)/python "$$file"; \
	done

docs: $(READY)  ## Write the pages of docs/ that come from the package's tables
	$(RUN) $(BIN)/bayes-ddp docs --output docs

physics: $(READY)  ## Take folders of physical spectra into models/physics-lte: make physics DIRS="a b"
	@[ -n "$(strip $(DIRS))" ] || { echo 'Name the folders: make physics DIRS="a b"' >&2; exit 2; }
	$(RUN) $(BIN)/bayes-ddp physics $(DIRS)

models: $(READY)  ## Train every shipped emulator again from models/physics-lte
	$(RUN) $(BIN)/bayes-ddp train

lock: pyproject.toml  ## Resolve the dependencies again (needs uv)
	uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --group dev \
		--no-header pyproject.toml --output-file requirements.lock --upgrade
	{ echo "# Every dependency of run time, development and build, pinned and hashed: make lock"; \
		cat requirements.lock; } > requirements.tmp
	mv requirements.tmp requirements.lock

clean:  ## Remove .venv, caches and what runs wrote
	rm -rf .venv .cache .python .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	rm -rf runs/*/output benchmarks/output
	find bayes_ddp tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Two files stand for the environment: a new lock makes .venv afresh, a new pyproject.toml only
# installs the package again. Neither exists after an interrupted set-up, which then starts over.

$(READY): $(LOCKED) pyproject.toml
	@if command -v uv > /dev/null; then \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--no-deps --no-build-isolation -e .; \
	fi
	@touch $@

# A candidate counts when it runs: a pyenv shim may exist for a version that is not active here,
# so every python on PATH is tried and not the first of each name alone.
$(LOCKED): requirements.lock .python-version
	@python=; seen=; IFS=$$'\n'; \
	for name in "$${PYTHON:-}" python3.12 python3.13 python3 python; do \
		[ -n "$$name" ] || continue; \
		for path in $$(type -aP "$$name"); do \
			version=$$("$$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || continue; \
			case $$version in \
				3.12 | 3.13) ;; \
				*) seen="$$seen, $$name is $$version"; continue;; \
			esac; \
			command -v uv > /dev/null || "$$path" -c 'import ensurepip, venv' 2> /dev/null || \
				{ seen="$$seen, $$name $$version has no venv"; continue; }; \
			python=$$path; break 2; \
		done; \
	done; \
	rm -rf .venv; \
	if command -v uv > /dev/null; then \
		echo "Setting up .venv with uv and $${python:-a Python 3.12 of its own}"; \
		UV_PYTHON_INSTALL_DIR="$(CURDIR)/.python" uv venv --quiet --no-project \
			--python "$${python:-3.12}" .venv || \
			{ echo "uv could not make .venv; install Python 3.12 or 3.13 and run make again." >&2; exit 1; }; \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; \
	elif [ -n "$$python" ]; then \
		echo "Setting up .venv with pip and $$python (a minute or two)"; \
		"$$python" -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--require-hashes -r requirements.lock; \
	else \
		seen=$${seen:-, no Python at all}; \
		echo "bayes_ddp needs Python 3.12 or 3.13 with its venv module (found: $${seen#, });" \
			"install one (Debian: python3.12-venv), or uv, and run make again." >&2; \
		exit 1; \
	fi
	@touch $@
