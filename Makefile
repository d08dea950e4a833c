# The verbs: demo, test, unit, check, golden, bench, cases, image, vm-test, kubelet-test. What a verb needs, it sets up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.installed-demo
ALL := $(VENV)/.installed-all
IMAGE := $(VENV)/.installed-image
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EDITABLE := --config-settings editable_mode=compat --editable
# As pip does for what is not editable: without it PYTHONDONTWRITEBYTECODE costs each start 15 ms.
COMPILE := $(BIN)/python -m compileall -q nvtopo
RACK := fixtures/clusters/gb200-nvl72-rack

.PHONY: demo test vm-test kubelet-test image unit check golden bench cases clean

# The main job on this machine, beside a recorded rack: no compiler, no root, no Kubernetes.
demo: $(DEMO)
	@$(BIN)/nvtopo standalone --fleet $(RACK) $(if $(ONESHOT),--oneshot)

# Everything: checks, unit, golden and property tests, then the lab with a real control plane.
test: $(ALL)
	@sh tests/system-packages
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n 2 -m "not lab and not vm and not kubelet"
	@$(BIN)/python -m pytest -m lab
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory vm-test kubelet-test; \
		else echo "left out: tests/vm and tests/kubelet, which need root (sudo make vm-test kubelet-test)"; fi

# A virtual machine with NUMA nodes, PCIe switches, SR-IOV, soft-RoCE and hot-plug, under software emulation.
vm-test: $(ALL)
	@$(BIN)/python -m pytest -m vm tests/vm

# A real kubelet with containerd that runs the image of the Dockerfile by the manifests of daemonset/.
kubelet-test: $(ALL) $(IMAGE)
	@sh tests/system-packages kubelet
	@$(BIN)/python -m tests.kubelet

# The image as an archive and the list of what is in it, in build/image; without a registry, as root.
image: $(ALL) $(IMAGE)
	@sh tests/system-packages image
	@$(BIN)/python -m image

# The inner loop.
unit: $(ALL)
	@$(BIN)/python -m pytest -q -n 2 --hypothesis-profile unit -m "not slow and not lab and not vm and not kubelet and not machine"

check: $(ALL)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# Rewrite every golden file; the diff is the review.
golden: $(ALL)
	@$(BIN)/python -m fixtures.synthesize
	@$(BIN)/python -m nvtopo.kube.crd > daemonset/crd.yaml
	@$(BIN)/python -m monitoring.prometheus_rule > daemonset/components/prometheus-rule/prometheus-rule.yaml
	@$(BIN)/python -m monitoring.dashboards
	@NVTOPO_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -p no:randomly -m "not lab and not vm and not kubelet and not machine"

bench: $(ALL)
	@$(BIN)/python -m bench.dump

# Other people's machines with right answers, where ../shared/cases is there.
cases: $(ALL)
	@$(BIN)/python -m tests.cases

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
	@$(PIP) $(EDITABLE) '.[kubernetes,aggregator,test]'
	@$(COMPILE)
	@touch $@ $(DEMO)

$(IMAGE): $(ALL)
	@echo "installing what lists the image's contents into $(VENV) (once)"
	@$(PIP) $(EDITABLE) '.[kubernetes,aggregator,test,image]'
	@touch $@

clean:
	rm -rf $(VENV) .cache build *.egg-info
