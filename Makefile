# The commands a person types. Each one first installs what it needs into .venv.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed
SOURCES := platform users_app retrieval_app training_app eval_app workers manage.py

# PyTorch with more threads than free cores is many times slower than with one.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-all serve lint lock licences secrets bench gpu-smoke small-models screenshots down clean FORCE

help:
	@echo "make demo          install, and run the main job from an empty database to the table that compares methods"
	@echo "make serve         web, workers and beat together; prints the address and how to log in"
	@echo "make test          the tests (minutes)"
	@echo "make test-all      the long fault, fuzz and load tests as well"
	@echo "make lint          ruff, mypy, the import contracts, missing and unsafe migrations, whether the lock is up to date"
	@echo "make lock          pin the dependencies of pyproject.toml anew (UPGRADE=1: the newest that may be)"
	@echo "make licences      write docs/licences.md, the licence of everything that is pinned"
	@echo "make secrets       the files in secrets/ that docker-compose.yml reads; those that are there stay"
	@echo "make bench         the benchmarks; writes var/bench.json"
	@echo "make gpu-smoke     one small job through the queue on a GPU (DEVICE=cpu: the same without one)"
	@echo "make small-models  rebuild the small models of the repository from their recipe"
	@echo "make screenshots   pictures of every page (light, dark, phone) in var/screenshots; needs Debian's chromium"
	@echo "make down          stop the embedded servers; their data stays in var/"
	@echo "make clean         stop them and remove var/ and .venv"

install: $(STAMP)

demo: install
	$(PY) manage.py demo

test: install
	$(PY) -m pytest -n 2

test-all: install
	$(PY) -m pytest -n 2 -m "not browser"
	$(PY) -m pytest -m browser

serve: install
	@exec $(PY) manage.py serve

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(SOURCES)
	$(VENV)/bin/lint-imports
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PY) manage.py check_migrations
	$(PY) -m images.locks --check

# What is installed meanwhile follows the new pins at once, and so can say its licences.
lock: install
	$(PY) -m images.locks $(if $(UPGRADE),--upgrade)
	@$(MAKE) --no-print-directory licences

licences: install
	$(PY) -m images.licences

# By any Python: a machine that only runs containers needs no other.
secrets:
	@cd platform && python3 -m images.secret_files '$(CURDIR)/secrets'

bench: install
	$(PY) -m benchmarks

# On servers of its own, whatever the environment names: nothing of anybody else's is touched.
DEVICE ?= cuda
gpu-smoke: install
	@env -u DATABASE_URL -u BROKER_URL -u S3_ENDPOINT -u S3_PUBLIC_ENDPOINT -u S3_ACCESS_KEY -u S3_SECRET_KEY \
	    LAMPPOST_VAR='$(CURDIR)/var/gpu-smoke' \
	    $(PY) manage.py gpu_smoke --device $(DEVICE)

small-models: install
	$(PY) -m workers.small_models

screenshots: install
	$(PY) -m tests.browser.screenshots

down:
	@if $(PY) -c 'import django, embedded' 2>/dev/null; then $(PY) manage.py stack down; fi

# Where nothing was ever installed, nothing can be running.
clean:
	@if $(PY) -c 'import django, embedded' 2>/dev/null; then $(PY) manage.py stack down --erase; fi
	rm -rf var $(VENV)

# The paths in an installation are those of the checkout: one that was moved is made anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): FORCE
endif

$(STAMP): pyproject.toml $(wildcard constraints.txt)
	@if [ -e $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ]; then rm -rf $(VENV); fi
	@rm -f $(STAMP)
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    for python in python3.11 python3.12 python3.13 python3; do \
	        if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	        python=; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "Python 3.11 or newer is needed and not found. Install it (Debian: apt install python3.11 python3.11-venv)." >&2; \
	        exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$($$python --version)"; \
	    $$python -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV) (a minute or two)"
	@$(PY) -m pip install -qq -e ".[models,embedded,dev]" $(if $(wildcard constraints.txt),-c constraints.txt)
	@printf '%s' '$(CURDIR)' > $(STAMP)
