# Two commands for a new user: `make pretrain` and `make test`. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup pretrain test lint clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh
	PYTHON=$(PYTHON) sh tools/setup.sh
	touch $@

pretrain: setup
	$(BIN)/python tools/make_sample_data.py data/sample
	$(BIN)/omnimask pretrain recipes.omni:quickstart --out runs/quickstart

# The fast tests first, so that a mistake shows early; then those that train, kill and resume. One
# thread each: two processes of two threads on two cores wait for one another.
test: export OMP_NUM_THREADS = 1
test: setup
	$(BIN)/python -m pytest -n 2 -m "not slow" --durations=10
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --durations=10

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf .venv .venv-uv data runs
