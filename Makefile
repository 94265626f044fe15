# Needs Python 3.11, make and a package index; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Packages that tests read with or read from: tools whose own readers load our exports, one with
# tables of real releases, and those with the parts of mini-llava. Each is in a folder of its own, since they ask for other versions of the same
# packages.
READERS := $(patsubst %.txt,.readers/%/.installed,$(notdir $(wildcard tests/*/readers/*.txt)))

.PHONY: demo study seven examples test torture fuzz lowest newest weekly hashed licences hashes advisories readers check site map fields format clean

# Runs a whole study on synthetic data: releases, IMAX and DMAX, two trained arms, one comparison.
demo: $(STAMP)
	$(BIN)/imaxray study phantom --out study/phantom
	@echo "Open study/phantom/report.html in a browser. To look at the images: $(BIN)/imaxray view study/phantom"

# The same with three trainings an arm and their optimisation dynamics, and the ablation of the
# three-stage strategy: about two hours on two quiet cores.
study: $(STAMP)
	$(BIN)/imaxray study phantom-seeds --out study/phantom-seeds
	$(BIN)/imaxray study ablation --out study/ablation

# Seven model families in miniature, both arms, two seeds: under an hour on two quiet cores.
seven: $(STAMP)
	$(BIN)/imaxray study seven-tiny --out study/seven-tiny

# The numbered scripts, each continuing what the earlier ones wrote; about a minute.
examples: $(STAMP)
	for script in examples/[0-9]*.py; do $(BIN)/python $$script examples-out || exit 1; done

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Reads mutated bytes with every reader for ten minutes each; with the package atheris in .venv the
# mutations follow the coverage. Findings become files in tests/fuzz/corpus.
MINUTES ?= 10
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/run.py --minutes $(MINUTES)

# The tests of the core and of training with the lowest versions that pyproject.toml allows; only
# torch is that of constraints.txt.
LOWEST := build/lowest
lowest: $(STAMP)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(BIN)/python tests/supply/dependencies.py lowest > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet -r $(LOWEST)/lowest.txt $(TEST_PACKAGES)
	$(LOWEST)/bin/python -m pip install --quiet --no-deps -e .
	$(LOWEST)/bin/python -m pytest $(CORE_TESTS) $(TRAIN_TESTS)

# The same with the newest versions that the package index has, whatever constraints.txt says.
NEWEST := build/newest
newest: $(STAMP)
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet -e ".[train]" $(TORCH) $(TEST_PACKAGES)
	$(NEWEST)/bin/python -m pytest $(CORE_TESTS) $(TRAIN_TESTS)

# What shows each week whether a new version of a dependency breaks or endangers the package.
weekly: lowest newest hashed advisories

TEST_PACKAGES = pytest hypothesis ensemble-boxes imagehash pydicom datasets
TORCH = $(shell grep "^torch==" constraints.txt)
TRAIN_TESTS = tests/training tests/packing tests/models

# The tests of the core that need no torch.
CORE_TESTS = tests/audit tests/clinical tests/curation tests/labeller tests/metrics tests/sources \
	tests/test_boxes.py tests/common/test_files.py --ignore tests/metrics/test_agreement.py

# The core in an environment of its own, every archive held against its sha256.
HASHED := build/hashed
hashed:
	$(PYTHON) -m venv --clear $(HASHED)
	$(HASHED)/bin/python -m pip install --quiet --no-deps --require-hashes -r constraints-hashed.txt
	$(HASHED)/bin/python -m pip install --quiet --no-deps .
	$(HASHED)/bin/imaxray --help > /dev/null

hashes: $(STAMP)
	$(BIN)/python tests/supply/dependencies.py hashes

licences: $(STAMP)
	$(BIN)/python tests/supply/dependencies.py licences

# Known vulnerabilities of the pinned versions; needs a network and the package pip-audit.
advisories:
	$(PYTHON) -m pip_audit --no-deps --disable-pip -r constraints-hashed.txt

# Kills, damages, locks, starves and moves the commands for hours, and prints the figures of
# RELIABILITY.md; the same target again continues. TORTURE="kill --command train --minutes 20"
# chooses. The ordinary tests run a short form.
torture: $(STAMP)
	PYTHONPATH=tests OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 \
		$(BIN)/python -m torture --arena torture-out $(TORTURE)

# About 1 GB; without them the tests that need them are skipped.
readers: $(READERS)

vpath %.txt $(wildcard tests/*/readers)
.readers/%/.installed: %.txt $(STAMP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --target $(@D) -r $<
	touch $@

# Format, lint, types, and the one-way flow of imports.
check: $(STAMP)
	$(BIN)/ruff format --check src tests bench examples website
	$(BIN)/ruff check src tests bench examples website
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation site, in build/site; a broken link or anchor ends the build. `make site` and then
# `python3 -m http.server -d build/site` shows it with its search.
site: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The house map of CONTRIBUTING.md, from the source tree and the import contract.
map: $(STAMP)
	$(BIN)/python tests/docs/house_map.py

# The page of fields of own data, from its reader.
fields: $(STAMP)
	$(BIN)/python tests/docs/own_data_fields.py

format: $(STAMP)
	$(BIN)/ruff format src tests bench examples website
	$(BIN)/ruff check --fix src tests bench examples website

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Expected Python 3.11 or later, but $(PYTHON) is older; name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
		exit 2; }
	@echo "Installing imaxray and what it needs into $(VENV): about 3 GB, some minutes, only once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[train,dev]"
	touch $@

clean:
	rm -rf $(VENV) .readers study examples-out torture-out build dist src/*.egg-info
