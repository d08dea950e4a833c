# `make` lists the targets; each sets up what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.installed-demo
ALL := $(VENV)/.installed-all
IMAGE := $(VENV)/.installed-image
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EDITABLE := --config-settings editable_mode=compat --editable
# Compile bytecode, as pip does for packages that are not editable: without it the first start takes 15 ms more.
COMPILE := $(BIN)/python -m compileall -q nvtopo
# What `gpu-test` imports, where nothing has to be installed.
NEEDS := import sys, click, msgspec, psutil, prometheus_client, pynvml, pyudev; sys.exit(sys.version_info < (3, 11))
# pytest keeps the test modules that it has compiled: without that each run and each worker spends ten seconds on it.
unexport PYTHONDONTWRITEBYTECODE
# One order for the gate; `make unit` and `make explore` draw a new one each time.
ORDER := --randomly-seed=1
RACK := fixtures/clusters/gb200-nvl72-demo

.PHONY: help demo test vm-test kubelet-test image image-test release push requirements unit explore check golden bench chaos cases pictures gpu-test clean

# This list.
help:
	@echo "make TARGET:"
	@awk '/^# /{said = said ? said : substr($$0, 3)} /^[a-z-]+:/{if (said) printf "  %-13s %s\n", substr($$1, 1, length($$1) - 1), said} /^$$/{said = ""}' Makefile

# The main job on this machine, beside a recorded rack with four faults: no compiler, no root, no Kubernetes.
demo: $(DEMO)
	@$(BIN)/nvtopo standalone --fleet $(RACK) --stale nvl72-r01-t13 $(if $(ONESHOT),--oneshot)

# Everything: checks, unit, golden and property tests, then the lab with a real control plane.
test: $(ALL)
	@sh tests/system-packages
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest $(ORDER) -n 2 -m "not lab and not vm and not kubelet and not image"
	@$(BIN)/python -m pytest $(ORDER) -n 2 --dist loadfile -m lab
	@if [ "$$(id -u)" = 0 ]; then sh tests/system-packages kubelet && $(MAKE) --no-print-directory $(IMAGE) && \
		$(MAKE) --no-print-directory -j2 --output-sync=target vm-test kubelet-test image-test; \
		else echo "left out: tests/vm, tests/kubelet and tests/image, which need root (sudo make vm-test kubelet-test image-test)"; fi

# A virtual machine with NUMA nodes, PCIe switches, SR-IOV, soft-RoCE and hot-plug, under software emulation.
vm-test: $(ALL)
	@$(BIN)/python -m pytest $(ORDER) -m vm tests/vm

# A real kubelet with containerd that runs the image of the Dockerfile by the manifests of daemonset/.
kubelet-test: $(ALL) $(IMAGE)
	@sh tests/system-packages kubelet
	@$(BIN)/python -m tests.kubelet $(ORDER)

# The image for amd64 and arm64 as one archive, and the list of what is in each, in build/image; without a registry, as root.
# KEY=file signs it and its provenance (docs/supply-chain.md).
image: $(ALL) $(IMAGE)
	@sh tests/system-packages image
	@$(BIN)/python -m image $(if $(KEY),--key $(KEY))

# Everything of a release in build/release: VERSION=1.2.0; TAG=1 tags the commit, WITH_IMAGE=no leaves out the image, which
# asks for root, KEY=file signs it, URL=https://HOST/OWNER/NAME makes links to the tag there (docs/releasing.md).
release: $(ALL) $(IMAGE)
	@$(if $(VERSION),,echo "release: which version? make release VERSION=1.2.0" >&2; exit 2)
	@$(if $(filter no,$(WITH_IMAGE)),true,sh tests/system-packages image)
	@$(BIN)/python -m release '$(VERSION)' $(if $(TAG),--tag) $(if $(filter no,$(WITH_IMAGE)),--without-image) $(if $(KEY),--key '$(KEY)') \
		$(if $(URL),--url '$(URL)')

# The archive of `make image` to a registry, all platforms of it: REGISTRY=registry.example.com/team; ARCHIVE=file for another.
push: $(ALL)
	@$(BIN)/python -m release.push '$(REGISTRY)' $(if $(ARCHIVE),'$(ARCHIVE)') $(if $(INSECURE),--insecure)

# The image for both machines, the other one under emulation; its signature, its provenance, and wheels by their hashes.
image-test: $(ALL) $(IMAGE)
	@sh tests/system-packages image
	@$(BIN)/python -m pytest $(ORDER) -m image -rP tests/image

# Every Python package of the image by version and hash: after a change of setup.cfg or constraints.txt.
UV := $(BIN)/uv pip compile --quiet --constraint constraints.txt --python-version 3.11 --universal --generate-hashes --no-header --no-annotate
requirements: $(IMAGE)
	@$(UV) setup.cfg --extra kubernetes --extra aggregator --extra dra --extra tracing --output-file image/requirements.txt
	@echo setuptools | $(UV) - --output-file image/requirements-build.txt

# The fast tests: unit, golden and property tests.
unit: $(ALL)
	@$(BIN)/python -m pytest -q -n 2 --hypothesis-profile unit -m "not slow and not lab and not vm and not kubelet and not image and not machine"

# The property tests with ten times the examples, drawn anew each time: before a release, and after a change of a reader.
explore: $(ALL)
	@$(BIN)/python -m pytest -q -n 2 --hypothesis-profile explore -m "hypothesis and not lab and not vm and not kubelet and not image"

# Formatting, lint, types, the layer contract, copied code, sizes of modules.
check: $(ALL)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pylint --disable=all --enable=duplicate-code --min-similarity-lines=13 --score=n nvtopo
	@$(BIN)/python -m tests.module_sizes

# Rewrite every golden file; the diff is the review.
golden: $(ALL)
	@$(BIN)/python -m fixtures.synthesize
	@$(BIN)/python -m nvtopo.kube.crd > daemonset/crd.yaml
	@$(BIN)/python -m nvtopo.kube.crd allocations > daemonset/components/allocations/crd.yaml
	@$(BIN)/python -m monitoring.prometheus_rule > daemonset/components/prometheus-rule/prometheus-rule.yaml
	@$(BIN)/python -m monitoring.dashboards
	@NVTOPO_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -p no:randomly -m "not lab and not vm and not kubelet and not image and not machine"

bench: $(ALL)
	@$(BIN)/python -m bench.dump

# Faults of a node and of its cluster, one by one: what is detected, what placement does next, and recovery. Minutes, as root.
CHAOS := tests/faults/test_clock.py tests/faults/test_stale.py tests/replicas/test_killing.py \
	tests/faults/test_api_server.py::test_api_server_away_for_five_minutes
chaos: $(ALL)
	@$(BIN)/python -m tests.chaos
	@$(BIN)/python -m pytest $(ORDER) -n 0 --durations=0 --durations-min=1 $(CHAOS)

# Machines with known right answers, if ../shared/cases exists.
cases: $(ALL)
	@$(BIN)/python -m tests.cases
	@$(BIN)/python -m pytest -q -p no:randomly tests/exporters/test_export_cases.py tests/cluster/test_slices.py -k "test_p or test_x or test_d0"

# The pictures of the live page in docs/pictures, with Chromium.
pictures: $(ALL)
	@$(BIN)/python -m tests.pictures

# On a machine with an NVIDIA driver: nvtopo beside nvidia-smi, /sys and pynvml (docs/gpu-test.md). Without a network:
# PYTHON=... names an interpreter that has nvtopo's packages, and nothing is installed.
gpu-test:
	@if ! $(PYTHON) -c '$(NEEDS)' 2>/dev/null; then $(MAKE) --no-print-directory $(DEMO) >&2; fi
	@if $(PYTHON) -c '$(NEEDS)' 2>/dev/null; then p='$(PYTHON)'; else p='$(BIN)/python'; fi; \
		$$p -m gputest $(if $(OUT),--out '$(OUT)') $(if $(NVML),--nvml '$(NVML)')

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: $(PYTHON) is older than 3.11: set PYTHON=python3.11 or newer" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "make: $(PYTHON) cannot make virtual environments: apt-get install -y python3-venv" >&2; rm -rf $(VENV); exit 3; }

$(DEMO): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing nvtopo into $(VENV) (once)"
	@$(PIP) $(EDITABLE) '.[aggregator]'
	@$(COMPILE)
	@touch $@

$(ALL): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing nvtopo and its checks into $(VENV) (once)"
	@$(PIP) $(EDITABLE) '.[kubernetes,aggregator,signing,picture,test]'
	@$(COMPILE)
	@touch $@ $(DEMO)

$(IMAGE): $(ALL)
	@echo "installing what lists the image's contents into $(VENV) (once)"
	@$(PIP) $(EDITABLE) '.[kubernetes,aggregator,signing,picture,test,image]'
	@touch $@

# Remove everything that was built here.
clean:
	rm -rf $(VENV) .cache build *.egg-info
