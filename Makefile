# Two commands for most people: `make demo` and `make test`. Everything lives in .venv and build/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes

# Where the environment forbids to keep compiled sources, every process would compile all of them again: of the CPU of a
# test run, and of each start of the platform, that is half.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-services test-bounds setup lint types contracts docs bench fuzz crash lock assets clean

# The demo needs less than a developer does; a developer's environment serves the demo as well.
demo: $(VENV)/.runtime src/islet/web/static/vendor/.built
	$(BIN)/islet demo

test: setup
	$(BIN)/python -m pytest -n 3 --dist worksteal

# The same on a real Kafka and a real Spark (needs java 17 and mvn); ISLET_SCALE_READINGS=1000000 for the full measure.
test-services: setup $(VENV)/.services
	$(BIN)/python -m pytest -m slow

# The engine with every index looked at: what a kernel writes beyond an array is found here, not in somebody's memory.
test-bounds: setup
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=build/bounds $(BIN)/python -m pytest tests/engine

CLIENTS := tests/gateways/node
setup: $(VENV)/.dev src/islet/web/static/vendor/.built $(VENV)/.kernels $(CLIENTS)/node_modules/.installed

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.docs --check

bench: setup
	$(BIN)/python -m benchmarks

# Ten minutes for every decoder; ISLET_FUZZ_SECONDS for another time, `python -m benchmarks.fuzz mqtt` for one of them.
fuzz: setup
	$(BIN)/python -m benchmarks.fuzz

# Twenty times kill -9 in half a million readings, and twenty power cuts (loop mounts: as root); some ten minutes.
crash: setup
	ISLET_CRASH_ROUNDS=20 ISLET_CRASH_PATIENTS=100 ISLET_CRASH_READINGS=5000 $(BIN)/python -m pytest tests/platform/test_platform_crash.py -s
	$(BIN)/python -m benchmarks.power_cut

docs: setup
	$(BIN)/python -m tools.docs

assets: $(VENV)/.runtime
	$(BIN)/python -m tools.assets

lock: $(VENV)/.uv
	$(BIN)/python -m tools.lock

$(VENV)/.uv: requirements/bootstrap.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements/runtime.lock pyproject.toml
	test -e $(VENV)/.dev || $(UV) requirements/runtime.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.uv requirements/dev.lock pyproject.toml
	$(UV) requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.runtime

# On top of the developer's environment, which a sync of that one takes away again.
$(VENV)/.services: $(VENV)/.dev requirements/services.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/services.lock
	touch $@

$(VENV)/.kernels: $(wildcard src/islet/model/compiled.py src/islet/log/partitioning.py src/islet/decode/*.py src/islet/engine/*.py src/islet/forecast/*.py src/islet/metrics/*.py src/islet/simulate/*.py) | $(VENV)/.dev
	$(BIN)/python -m tools.kernels
	touch $@

src/islet/web/static/vendor/.built: package-lock.json tools/assets.py $(wildcard src/islet/web/locale/*/LC_MESSAGES/*.po) | $(VENV)/.runtime
	$(BIN)/python -m tools.assets
	touch $@

$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json tools/assets.py | $(VENV)/.runtime
	$(BIN)/python -m tools.assets clients
	touch $@

clean:
	rm -rf $(VENV) build node_modules $(CLIENTS)/node_modules src/islet/web/static/vendor .mypy_cache .ruff_cache
