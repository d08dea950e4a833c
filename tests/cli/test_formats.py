"""``dump --format``: every format on a recorded machine, on this one, and from a file that is no capture."""

import json
import subprocess
import sys

import pytest

from nvtopo.cli.dump import _BINARY, _FORMATS
from tests.cli.test_command_line import nvtopo
from tests.hosts.recorded import FIXTURES

pytestmark = pytest.mark.slow

_TEXTS = [form for form in _FORMATS if form not in _BINARY]
_HOST = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
_CAPTURE = str(_HOST / "capture.json")
_GOLDEN = {
    "matrix": "matrix.txt",
    "tree": "tree.txt",
    "json": "topology.json",
    "yaml": "topology.yaml",
    "dot": "topology.dot",
    "svg": "topology.svg",
    "nccl": "nccl.xml",
}


@pytest.mark.parametrize("form", _GOLDEN)
def test_a_format_is_what_its_golden_file_holds(form: str) -> None:
    result = nvtopo("dump", "--from", _CAPTURE, "--format", form)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (_HOST / "expected" / _GOLDEN[form]).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", _TEXTS)
def test_a_format_prints_something_for_this_machine_too(form: str) -> None:
    result = nvtopo("dump", "--nvml", "none", "--format", form)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\n")


def test_metrics_are_the_agent_s_families() -> None:
    page = nvtopo("dump", "--from", _CAPTURE, "--format", "metrics").stdout
    golden = (_HOST / "expected" / "metrics.prom").read_text(encoding="utf-8")
    found, expected = ({line for line in text.splitlines() if line.startswith("#")} for text in (page, golden))
    assert "# TYPE nvtopo_nvlink_capacity_bytes_per_second gauge" in found
    assert found <= expected


@pytest.mark.parametrize("form", [form for form in _TEXTS if form != "nccl"])
def test_every_format_that_needs_no_addresses_draws_another_tool_s_matrix(form: str) -> None:
    text = "\tGPU0\tGPU1\tNIC0\nGPU0\t X \tNV4\tPIX\nGPU1\tNV4\t X \tSYS\nNIC0\tPIX\tSYS\t X \n"
    result = nvtopo("dump", "--from", "-", "--format", form, standard_input=text)
    assert (result.returncode, result.stderr) == (0, "")


def test_nccl_says_what_is_missing() -> None:
    text = "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n"
    result = nvtopo("dump", "--from", "-", "--format", "nccl", standard_input=text)
    assert result.returncode == 2
    assert "NCCL finds a GPU by its PCI address" in result.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_dump_is_read_back(form: str) -> None:
    text = (_HOST / "expected" / _GOLDEN[form]).read_text(encoding="utf-8")
    result = nvtopo("dump", "--from", "-", "--format", form, standard_input=text)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == text


def test_help_explains_every_format() -> None:
    text = nvtopo("dump", "--help").stdout
    assert all(f"\n    {form}  " in text for form in _FORMATS)


@pytest.mark.parametrize(
    ("form", "unused"),
    [
        (
            "matrix",
            {
                "nvtopo.model.conclusions.hierarchy",
                "yaml",
                "json",
            },
        ),
        ("yaml", {"yaml", "nvtopo.sinks.text.matrix"}),
        ("svg", {"prometheus_client", "xml", "cairosvg"}),
    ],
)
def test_a_format_imports_what_it_uses_and_no_more(form: str, unused: set[str]) -> None:
    program = (
        "import sys; sys.argv=['nvtopo','dump','--from',sys.argv[1],'--format',sys.argv[2]]\n"
        "from nvtopo import cli; cli.main(standalone_mode=False)\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    run = [sys.executable, "-c", program, _CAPTURE, form]
    result = subprocess.run(run, check=True, capture_output=True, text=True)
    assert not unused & set(result.stderr.split())


def test_yaml_and_json_say_the_same() -> None:
    yaml = pytest.importorskip("yaml")
    texts = (nvtopo("dump", "--from", _CAPTURE, "--format", form).stdout for form in ("yaml", "json"))
    assert yaml.safe_load(next(texts)) == json.loads(next(texts))
