# Facet. `make repro` and `make test` are all that a fresh machine needs (Linux, Python 3.11 or newer, make, git).
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
SEEDS ?= 1 2 3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_WAIT_POLICY := passive

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: repro
repro: $(VENV)/.installed ## set up, then rebuild everything (PROFILE=smoke|default|paper sets the switch in params.yaml first)
	@if [ -n "$(PROFILE)" ]; then sed -i 's/^profile: .*/profile: $(PROFILE)/' params.yaml; fi
	python -m stages._params
	dvc repro

.PHONY: repro-parallel
repro-parallel: $(VENV)/.installed ## rebuild with JOBS=2 stages at a time; with GPUS="0 1" each sees one of them
	python -m stages._params
	python -m stages.parallel $(if $(JOBS),--jobs $(JOBS)) $(GPUS:%=--gpu %)

.PHONY: test
test: $(VENV)/.installed lint ## set up, then run every check: style, types, tests, the smoke pipeline, the regression gate
	python -m pytest

.PHONY: test-fast
test-fast: $(VENV)/.installed ## the tests without the end-to-end run
	python -m pytest -m "not pipeline"

.PHONY: lint
lint: $(VENV)/.installed ## style, types and the import-layer contract
	ruff format --check .
	ruff check .
	mypy
	lint-imports

.PHONY: check
check: $(VENV)/.installed ## did a benchmark get worse? compares with reports/reference; exit code 1 when one did
	python -m stages.check --metrics reports/metrics.json --labels reports/label_quality.json \
	    --reference reports/reference --output reports/check.md --gate

.PHONY: accept
accept: $(VENV)/.installed ## take the present metrics as the new reference: make accept REASON="..."
	@test -n "$(REASON)" || { echo 'say why: make accept REASON="..."'; exit 2; }
	python -m stages.accept --reason "$(REASON)" --metrics reports/metrics.json --labels reports/label_quality.json \
	    --reference reports/reference

.PHONY: seeds
seeds: $(VENV)/.installed ## train, predict, evaluate with SEEDS="1 2 3"; spread, claims, the paper's orderings in reports/seeds.md
	python -m stages.seeds $(SEEDS:%=--seed %) $(CHANGES:%=--change %) $(if $(NAME),--name $(NAME)) --output reports

.PHONY: scratch
scratch: ## the ablation from random weights, without our warm start: reports/scratch.md (SEEDS=1)
	$(MAKE) seeds NAME=scratch SEEDS="$(SEEDS)" CHANGES="regressor.initialization=scratch train.learning_rate=5.0e-4 \
	    train.iterations=600 train.mouth_start_iteration=150"

.PHONY: ui
ui: $(VENV)/.installed ## fill MLflow from the pipeline's files, then show it on 127.0.0.1:5000
	python -m stages.track --lock dvc.lock --reports reports --output reports/tracking.json
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --host 127.0.0.1 --port 5000

.PHONY: page
page: $(VENV)/.installed ## show the report page on 127.0.0.1:8000
	python -m http.server 8000 --bind 127.0.0.1 --directory reports/page

.PHONY: inspect
inspect: $(VENV)/.installed ## draw what the face model is made of into reports/face_model_inspection.png
	python -m stages.inspect_face_model --face-model data/face_model.h5 --output reports/face_model_inspection.png

.PHONY: verify
verify: $(VENV)/.installed ## re-hash every shard against its manifest
	python -m stages.verify --data data

.PHONY: lock
lock: ## resolve the dependencies again (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	    --extra dev pyproject.toml -o requirements.lock

.PHONY: cuda
cuda: $(VENV)/.installed ## on a machine with CUDA: build nvdiffrast (NVIDIA's licence: non-commercial)
	python -m pip install --no-build-isolation "nvdiffrast @ git+https://github.com/NVlabs/nvdiffrast.git"

.PHONY: setup
setup: $(VENV)/.installed ## create the environment from the hashed lock

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Facet needs Python 3.11 or newer; try make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then \
	    uv pip sync --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock; \
	else \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock; \
	fi
	@touch $@

.PHONY: clean
clean: ## remove the environment and caches (not the data)
	rm -rf $(VENV) .memo .pytest_cache .mypy_cache .ruff_cache
