# The two commands: `make scan` looks at this machine, `make test` proves the scanner. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help scan test quick lint bench docs lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

scan:  ## install what is locked, scan this machine, print the summary and the report's path
	@requirements/install.sh requirements/run.lock
	@.venv/bin/keurmeester scan --lang nl; code=$$?; test $$code -le 2  # findings are an outcome, not a failed make

test:  ## install what the tests need (Debian packages too, as root) and run everything
	@tests/lab/install.sh
	@requirements/install.sh requirements/dev.lock
	@tests/oracles/install.sh
	@$(MAKE) --no-print-directory lint
	.venv/bin/pytest

quick:  ## what needs no server: linters, types and the pure tests
	@requirements/install.sh requirements/dev.lock
	@$(MAKE) --no-print-directory lint
	.venv/bin/pytest -q -n auto --dist worksteal -m "not lab and not browser and not server"

lint:
	.venv/bin/ruff check -q .
	.venv/bin/ruff format -q --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache | tail -n 3

bench:  ## the figures of speed and size, as ratios within one run
	@tests/lab/install.sh
	@requirements/install.sh requirements/dev.lock
	@tests/oracles/install.sh
	.venv/bin/python -m tests.bench

docs:  ## generate the pages of checks and the pictures in the README
	@requirements/install.sh requirements/dev.lock
	.venv/bin/keurmeester checks docs docs/checks
	.venv/bin/python docs/screenshots.py

lock:  ## renew the locked versions: hashes only, no addresses
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header pyproject.toml requirements/build.in -o requirements/run.lock
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header -c requirements/run.lock pyproject.toml requirements/build.in \
	  requirements/dev.in -o requirements/dev.lock

clean:  ## remove what was made here, runs excepted
	rm -rf .venv .cache .mypy_cache .ruff_cache .hypothesis dist
