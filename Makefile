# make demo: set up and run the main job.  make test: set up and run the tests.
PYTHON ?= python3
MODEL := smollm2-135m-instruct
BIN := .venv/bin
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := true

.PHONY: docs help setup model demo finetune-demo test check format ui repro lock clean

help:  ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.installed: requirements.lock pyproject.toml tools/install.py
	@$(PYTHON) tools/install.py
	@touch $@

setup: .venv/.installed  ## Virtual environment and locked dependencies

model: setup  ## The default model's weights (93 MB, once)
	@$(BIN)/escalometer models fetch $(MODEL) >/dev/null

demo: model  ## Where does the default model act, and where does it escalate?
	@$(BIN)/escalometer evaluate $(MODEL)

finetune-demo: model  ## Teach the default model to escalate by the rule: a short version
	@$(BIN)/escalometer train $(MODEL) --name $(MODEL)-demo --examples 440 --first-answers brief --probes small \
		--cost-ratios 2,4,8,10,20,50 --framings ratio,dollars,words,plain

test: model  ## All tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup  ## Style, types, architecture, SQL
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint sql

format: setup  ## Put style right
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/sqlfluff fix sql

docs: setup  ## docs/documents.md and JSON Schemas, from the typed documents
	@PYTHONPATH=. $(BIN)/python tools/write_documents.py

ui: setup  ## MLflow in the browser, on this machine only
	@MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

repro: model  ## The pipeline without Prefect
	@$(BIN)/dvc repro

lock: setup  ## Resolve the dependencies anew
	@$(BIN)/pip-compile --quiet --extra dev --generate-hashes --strip-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--unsafe-package torch --unsafe-package pip --unsafe-package setuptools \
		--output-file requirements.lock pyproject.toml
	@sed -i '/^# WARNING/,$$d' requirements.lock

clean:  ## Remove what was computed; weights, adapters and answers stay
	@rm -rf data/raw data/scenarios data/decisions data/validation data/profiles data/report data/tracking \
		data/targets data/probes
