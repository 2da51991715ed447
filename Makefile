# make demo    a sweep on scikit-learn's handwritten digits: four cells, with no network and no weights to fetch
# make test    every test that this machine can run
# make test-ray  those that start a Ray cluster of two nodes here: apart, since they want a machine that is not busy
# make lint    ruff and mypy
# make bench   what features and an epoch of a trial cost, what a trial costs beside, what pruners save, what logistic regression
#              reaches, what the report takes, where the time of a sweep as large as Stanford Dogs goes, beside that of the naive way,
#              what memory 200,000 pictures take, what phone pictures do, how well near copies are told, what folds
#              choose, and how often intervals hold (three hours)
# make bench-gpu  what a GPU makes of features and heads, in single and in mixed precision
# make chaos   sweeps on PostgreSQL and an MLflow server, all of which are killed at random, compared with an undisturbed one
# make lock    resolve the requirements anew; make check-lock asks pip and uv whether they would install them
# make images  build docker/Dockerfile without Docker, and run the demo in the image, by one process and on a Ray cluster: fifteen
#              minutes, for root on Debian
#
# Python 3.11, 3.12 or 3.13 makes .venv: `make PYTHON=python3.12 demo` chooses another than python3.

PYTHON ?= $(firstword $(foreach name,python3 python,$(if $(shell command -v $(name)),$(name))) python3)
BIN := .venv/bin
DEMO := --dataset digits --weights tiny --alphas 0.25,0.5 --resolutions 48,96 --trials 16

.PHONY: demo test test-ray lint bench bench-gpu chaos lock check-lock images clean

demo: .venv/ready
	$(BIN)/python tuning/optimize.py $(DEMO)

test: .venv/ready-dev
	$(BIN)/python -m pytest

test-ray: .venv/ready-dev
	$(BIN)/python -m pytest -n 0 -m ray

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready-dev
	$(BIN)/python -m tests.bench.heads
	$(BIN)/python -m tests.bench.pruners
	$(BIN)/python -m tests.bench.logistic
	$(BIN)/python -m tests.bench.studies
	$(BIN)/python -m tests.bench.sweeps
	$(BIN)/python -m tests.bench.reports
	$(BIN)/python -m tests.bench.memory
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.extraction
	$(BIN)/python -m tests.bench.phone_pictures
	$(BIN)/python -m tests.bench.near_copies
	$(BIN)/python -m tests.bench.folds
	$(BIN)/python -m tests.bench.comparisons
	$(BIN)/python -m tests.bench.cluster
	$(BIN)/python -m tests.bench.driver_load

bench-gpu: .venv/ready-dev
	$(BIN)/python -m tests.bench.gpu

chaos: .venv/ready-dev
	$(BIN)/python -u -m tests.chaos

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "error: wanted Python 3.11, 3.12 or 3.13. Received: " + sys.version.split()[0] + " ($(PYTHON)). Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/ready: requirements.txt | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements.txt
	@touch $@

# Compiled now, since the tests start hundreds of processes, each of which would compile tensorflow where it may not
# write beside the sources.
.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock"

lock: | .venv/bin/uv
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(LOCK) --extra dashboard -c requirements.txt pyproject.toml -o requirements-dashboard.txt
	$(LOCK) --extra onnx -c requirements.txt pyproject.toml -o requirements-onnx.txt
	$(LOCK) --extra heic -c requirements.txt pyproject.toml -o requirements-heic.txt
	$(LOCK) --extra distributed -c requirements.txt pyproject.toml -o requirements-distributed.txt
	$(LOCK) --extra gpu -c requirements.txt pyproject.toml -o requirements-gpu.txt
	$(LOCK) --extra ray -c requirements.txt pyproject.toml -o requirements-ray.txt
	$(LOCK) --python-version 3.11 -c requirements.txt docker/requirements-server.in -o docker/requirements-server.txt

check-lock: .venv/ready-dev
	$(BIN)/python -m pytest -n 0 -m index tests/test_locks.py

images:
	docker/build-without-docker server mlflow --version
	docker/build-without-docker worker python tuning/optimize.py $(DEMO)
	EXTRAS="distributed ray" docker/build-without-docker worker python tuning/optimize.py $(DEMO) --executor ray --workers 2

clean:
	rm -rf .venv
