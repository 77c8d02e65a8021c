# Everything a user or CI does with data-ferry. `make` alone explains itself.
# Needs Python 3.10 or newer and make; each target sets up what it needs.

PYTHON ?= python3
STACK ?= stg
# What a stack says of its handlers, when it differs: PACKAGE="--architecture x86_64"
PACKAGE ?=
# Where `make preview` looks: auto, real (your accounts) or local (both clouds on this machine).
CLOUDS ?= auto
VENV := .venv
BIN := $(VENV)/bin
PULUMI := .tools/bin/pulumi
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
SOURCES := __main__.py routes settings export_identity.py components state_machines handlers rehearsal bench tests

.DEFAULT_GOAL := help
.PHONY: help setup rehearse replicate package pulumi test e2e check format bench docs databases lock preview up down for-real clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "data-ferry needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): $(VENV)/.created requirements.txt
	@echo "Installing the locked dependencies ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "Installing the locked development dependencies ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip check
	@touch $@

setup: $(DEV) ## Create .venv with everything a developer needs

rehearse: $(RUNTIME) ## Play a day of the snapshot route on this machine, both clouds included
	$(BIN)/python -m rehearsal run $(ARGS)

replicate: $(RUNTIME) databases ## Play the replication route; ARGS="--changes 20000 --fault everything"
	$(BIN)/python -m rehearsal run --route replication $(ARGS)

package: $(RUNTIME) ## Build the Lambda packages that pulumi up deploys (build/lambda)
	$(BIN)/python -m handlers.package $(PACKAGE)

test: $(DEV) databases ## Run every test but those of `make e2e`
	$(BIN)/python -m pytest -n 2 --ignore=tests/e2e $(ARGS)

e2e: $(DEV) pulumi ## Run the tests on the real Pulumi engine
	$(BIN)/python -m pytest -n 2 tests/e2e $(ARGS)

check: $(DEV) ## Format, lint, types, import rules, workflows: exactly what CI checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/python -m pytest -q tests/test_imports.py
	@sh scripts/actionlint.sh

format: $(DEV) ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) pulumi ## Measure, as ratios within one run
	$(BIN)/python -m bench

docs: $(RUNTIME) ## Write docs/configuration.md from the settings' models
	$(BIN)/python -m settings.reference

databases: ## Find or install MariaDB and PostgreSQL for the tests that need them
	@sh scripts/databases.sh

lock: $(DEV) ## Compile requirements*.txt from requirements*.in (needs uv on the PATH)
	sh scripts/lock.sh

pulumi: ## Provide a pulumi fit for the SDK in .tools: yours, the official one, or built with Go
	@sh scripts/pulumi/provide.sh

preview: $(RUNTIME) pulumi ## What would `make up` change? STACK=stg; without an account, on local clouds
	@BIN=$(BIN) PACKAGE="$(PACKAGE)" CLOUDS=$(CLOUDS) sh scripts/preview.sh $(STACK)

ifeq ($(STACK),local)
up: $(RUNTIME) pulumi ## Deploy STACK=stg; STACK=local starts both clouds here, and plays a day
	$(BIN)/python -m rehearsal deploy $(ARGS)

down: $(RUNTIME) pulumi ## Destroy STACK=stg, for real; STACK=local only what is here, and its clouds
	$(BIN)/python -m rehearsal destroy $(ARGS)
else
# CLOUDS is for previews; whoever says it here may think that this is one.
for-real:
	@[ "$(CLOUDS)" != local ] || { echo "up and down of $(STACK) are for real; on local clouds: $(BIN)/python -m rehearsal deploy --stack $(STACK)" >&2; exit 2; }
	@[ -f "Pulumi.$(STACK).yaml" ] || { echo "There is no Pulumi.$(STACK).yaml" >&2; exit 2; }

up: for-real $(RUNTIME) pulumi package
	$(PULUMI) up --stack $(STACK)

down: for-real $(RUNTIME) pulumi package
	$(PULUMI) destroy --stack $(STACK)
endif

clean: ## Remove everything that was built or installed here; ends the clouds of `make up`
	@for kept in .rehearsal/*/; do \
		[ ! -d "$$kept" ] || [ ! -x $(BIN)/python ] || \
			$(BIN)/python -m rehearsal destroy --force --stack "$$(basename "$$kept")" || exit 1; \
	done
	rm -rf $(VENV) .tools build .mypy_cache .ruff_cache .pytest_cache .hypothesis .rehearsal
