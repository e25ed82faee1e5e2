# make demo   the whole loop on the sample images, in a window where there is a screen
# make test   style, types and tests
# make docs   the documentation as a site: build/docs/index.html
# make figures    kills, damaged files, swaps and a session in the window, measured anew: build/figures;
#                 SIZE=full takes its time and writes the result files that the site shows
# make coverage   how much of the code the tests run: benchmarks/results/coverage.json; TESTS=tests/store: of a part
# make pictures   the pictures of the documentation, anew, from the real window
# All do all their own set-up (see scripts/setup.sh); a second call reuses it.

VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out
PYTEST_FLAGS ?=
# Tests that open windows or start the program, and wait for what happens then.
WITH_WINDOW := tests/_qt/ tests/demo/ tests/jobs/ tests/test_cli.py tests/benchmarks/test_interactive.py
SIZE ?= small
# What needs no window.
TESTS ?= tests $(addprefix --ignore=,$(WITH_WINDOW))
export VENV PYTHON DEMO_OUT

.PHONY: setup demo test lint format docs figures coverage pictures

setup:
	@scripts/setup.sh

demo: setup
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname -s)" = Darwin ]; then \
	    $(BIN)/naslora demo; \
	else \
	    xvfb-run -a -s "-screen 0 1920x1080x24" $(BIN)/naslora demo --headless; \
	fi

# Two processes of one thread each; two of several would only wait for each other. Each has a screen of its own.
# The order is that of tests/conftest.py: the longest files first.
IN_TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)

test: lint
	$(IN_TWO) tests $(addprefix --ignore=,$(WITH_WINDOW))
	$(IN_TWO) $(WITH_WINDOW)

figures: setup
	$(BIN)/python benchmarks/figures.py --size $(SIZE)

coverage: setup
	@mkdir -p build/coverage
	$(IN_TWO) $(TESTS) --cov --cov-report=json:build/coverage/report.json
	$(BIN)/python benchmarks/coverage_figure.py build/coverage/report.json --out benchmarks/results/coverage.json \
	    --tests $(filter-out --ignore=%,$(TESTS)) --without $(patsubst --ignore=%,%,$(filter --ignore=%,$(TESTS)))

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pictures: setup
	$(BIN)/python scripts/pictures.py

docs: setup
	@$(BIN)/python -c "import furo, myst_parser, sphinx" 2>/dev/null || $(BIN)/python -m pip install -q -e '.[all,docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"
