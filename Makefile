# Two commands for a new user: `make pretrain` and `make test`. Both set everything up first. While
# working, `make check` is the quick one.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup pretrain check test lint docs clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt overrides.txt tools/setup.sh
	PYTHON=$(PYTHON) sh tools/setup.sh
	touch $@

pretrain: setup
	$(BIN)/omnimask sample-data data/world --scenes 900
	$(BIN)/omnimask pretrain recipes.world:quickstart --out runs/world

# The core's own unit tests, the contract of one modality, and lint: under 90 s on two quiet cores. What
# is made of the core (transfer, reports, commands), trains or starts processes is left to `make test`.
CORE := foundation tokens masking network objectives decoders recipe data training
LEFT_TO_TEST := foundation/test_reloading foundation/test_saved_names foundation/test_optional \
	recipe/test_catalogue recipe/test_start training/test_loop training/test_optimisation \
	training/test_frozen_teacher training/test_teacher_network training/test_cost

check: export OMP_NUM_THREADS = 1
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 -q -m "not slow" -k "not test_contract or image and not labels" \
		$(foreach name,$(LEFT_TO_TEST),--ignore=tests/unit/$(name).py) \
		tests/unit/test_imports.py $(foreach name,$(CORE),tests/unit/$(name)) \
		tests/modalities/test_contract.py tests/modalities/test_contract_parts.py

# Everything in one start, the long tests first (tests/conftest.py). One thread each: two processes of
# two threads on two cores wait for one another.
test: export OMP_NUM_THREADS = 1
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The site, with every link looked at; nothing is fetched. site/index.html opens without a server.
docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .venv-uv data runs site
