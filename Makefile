# make demo: set up and run the main job.  make test: set up and run the tests.
PYTHON ?= python3
MODEL := smollm2-135m-instruct
BIN := .venv/bin
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := true

.PHONY: docs help setup model demo finetune-demo test test-long test-install test-core test-adapters test-ray check format ui serve repro reproduce lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.installed: requirements.lock requirements-uv.lock pyproject.toml tools/install.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 8) and "error: Python 3.11 to 3.14 is needed: make PYTHON=python3.12 setup")'
	@$(PYTHON) tools/install.py
	@touch $@

setup: .venv/.installed  ## Create .venv with the locked dependencies

model: setup  ## Download the default model's weights (93 MB, once)
	@$(BIN)/escalometer models fetch $(MODEL) >/dev/null

demo: model  ## Set up, then compare and gate a small model and its tuned version
	@$(BIN)/escalometer demo

finetune-demo: model  ## Fine-tune the default model to escalate by the rule: a short version
	@$(BIN)/escalometer train $(MODEL) --name $(MODEL)-demo --examples 440 --first-answers brief --probes small \
		--cost-ratios 2,4,8,10,20,50 --framings ratio,dollars,words,plain

test: model  ## Run all tests except the long ones
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: model  ## Run the long tests: simulations, and each broken value separately
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long

check: setup  ## Check style, types, architecture and SQL
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint sql

format: setup  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/sqlfluff fix sql

docs: setup  ## Build the documentation site, docs/documents.md and the JSON Schemas
	@PYTHONPATH=. $(BIN)/python tools/write_documents.py
	@PYTHONPATH=. $(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@PYTHONPATH=. $(BIN)/python tools/check_pages.py docs/_build/html

ui: setup  ## Open MLflow in the browser, on this machine only
	@MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

serve: model  ## Run the deployments of prefect.yaml here: Prefect's server, a worker, MLflow
	@$(BIN)/escalometer serve

repro: model  ## Run the pipeline without Prefect
	@$(BIN)/dvc repro

reproduce: setup  ## Run the paper's full design for models whose keys are set: MAX_COST=USD, MODELS="A B"
	@PYTHONPATH=. $(BIN)/python tools/reproduce.py $(MODELS) $(if $(MAX_COST),--max-cost $(MAX_COST))

test-install: setup  ## Set up again from the package index alone, and import everything (downloads up to 5 GB)
	@$(BIN)/python tools/fresh_install.py

test-core: setup  ## Test commands on tables of decisions in an environment that has the core alone
	@$(BIN)/python tools/core_install.py

test-adapters: setup  ## Test adapters of policies with LiteLLM's proxy and LangChain (downloads 200 MB)
	@$(BIN)/python tools/adapter_install.py

test-ray: setup  ## Test cells on a Ray cluster (downloads 75 MB)
	@$(BIN)/python tools/ray_install.py

# torch is installed separately (docs/decisions/0007-locked-dependencies.md); what its builds
# share is locked here.
lock: setup  ## Resolve the dependencies again, for Python 3.11 to 3.14: of all extras, and of the core
	@echo "uv==0.13.9" | $(BIN)/uv pip compile $(LOCK) --output-file requirements-uv.lock -
	@printf 'torch ; sys_platform == "never"\n' > .venv/overrides.txt
	@printf 'filelock\nfsspec\njinja2\nnetworkx\nsetuptools\nsympy\ntyping-extensions\n' | \
		$(BIN)/uv pip compile $(LOCK) --extra all --extra dev --overrides .venv/overrides.txt \
		--no-emit-package torch --output-file requirements.lock pyproject.toml -
	@$(BIN)/uv pip compile $(LOCK) --constraint requirements.lock --output-file requirements-core.lock \
		pyproject.toml

clean:  ## Remove computed data; keep weights, adapters and answers
	@rm -rf data/raw data/scenarios data/decisions data/validation data/profiles data/report data/tracking \
		data/targets data/probes
