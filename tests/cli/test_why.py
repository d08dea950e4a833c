"""``nvtopo why`` without a cluster: recorded machines, a feature file, pods of the recipes."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nvtopo.sinks.publish import nfd
from tests.golden import check
from tests.hosts.recorded import FIXTURES

pytestmark = pytest.mark.slow

HOSTS = FIXTURES / "hosts"
GOLDEN = Path(__file__).parent / "golden"
RECIPES = FIXTURES.parent / "docs" / "recipes"
GOOD, ILL = "h100-sxm-8gpu-8cx7", "h100-one-link-down"


def why(*arguments: str, code: int = 0, given: str | None = None) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "why", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        input=given,
    )
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if code != 2 else result.stderr


def of(host: str) -> tuple[str, str]:
    return "--from", str(HOSTS / host / "capture.json")


def labels_of(host: str) -> dict[str, str]:
    text = (HOSTS / host / "expected" / "features.d").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def features_d(folder: Path, labels: dict[str, str], minutes: int = 15) -> tuple[str, str]:
    text = nfd.render(labels, expires=datetime.now(UTC) + timedelta(minutes=minutes))
    (folder / nfd.FILE_NAME).write_text(text, encoding="utf-8")
    return "--features-dir", str(folder)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("ready", of(GOOD), 0),
        ("not-ready", of(ILL), 1),
        ("absent-label", (*of("h100-no-driver"), "--label", "nvlink.groups"), 1),
        ("ready-label", (*of(ILL), "--label", "ready"), 0),
        ("pod-fits", (*of(GOOD), "--pod", str(RECIPES / "eight-gpus.yaml")), 0),
        ("pod-does-not-fit", (*of("h100-nvl-pairs"), "--pod", str(RECIPES / "eight-gpus.yaml")), 1),
    ],
)
def test_what_people_read(name: str, arguments: tuple[str, ...], code: int) -> None:
    check(why(*arguments, code=code), GOLDEN / f"why-{name}.txt")


def test_what_is_in_the_feature_file_arrives(tmp_path: Path) -> None:
    labels = labels_of(GOOD)
    said = why(*of(GOOD), *features_d(tmp_path, labels))
    assert f"{len(labels)} of {len(labels)} labels are in the feature file\n" in said


def test_what_the_feature_file_lacks_is_named_with_what_to_do(tmp_path: Path) -> None:
    labels = labels_of(GOOD)
    del labels["nvtopo.io/nvlink.groups"]
    said = why(*of(GOOD), *features_d(tmp_path, labels), code=1)
    assert "does not reach the feature file: nvtopo.io/nvlink.groups\n" in said
    assert "do: Look at the agent's log" in said


def test_an_expired_file_brings_no_label(tmp_path: Path) -> None:
    options = features_d(tmp_path, labels_of(GOOD), minutes=-1)
    said = why(*of(GOOD), *options, "--label", "nvtopo.io/gpu.count", code=1)
    assert "has expired at 20" in said


def test_a_missing_file_is_missing_and_a_missing_directory_is_unknown(tmp_path: Path) -> None:
    ask = (*of(GOOD), "--label", "gpu.count", "--features-dir")
    assert "there is no such label" in why(*ask, str(tmp_path), code=1)
    assert "unknown" in why(*ask, str(tmp_path / "nowhere"), code=3)
    assert "File name too long" in why(*ask, "x" * 300, code=3)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda recipe: recipe.stem)
def test_every_kind_of_workload_among_the_recipes_is_understood(recipe: Path) -> None:
    """A tray has four GPUs, InfiniBand and no static CPU manager."""
    fits = recipe.stem not in {"eight-gpus", "numa-aligned", "roce-mtu"}
    found = json.loads(why(*of("gb200-nvl72-tray"), "--pod", str(recipe), "-o", "json", code=0 if fits else 1))
    assert found["pod"]["fits"] is fits


@pytest.mark.parametrize("host", [GOOD, "gb200-nvl72-tray", "h100-nvl-pairs"])
def test_a_node_fits_the_affinity_that_is_made_of_it(host: str) -> None:
    capture = str(HOSTS / host / "capture.json")
    made = subprocess.run(
        [sys.executable, "-m", "nvtopo", "convert", capture, "--to", "affinity", "--json"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    pod = {"containers": [], "affinity": json.loads(made)}
    assert pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    why(*of(host), "--pod", "-", given=json.dumps({"spec": pod}))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "nvlink.domian"), "Did you mean nvlink.domain or "),
        (("--label", "gpu.count", "--pod", "-"), "one of them"),
        (("node-1", "--from", "/dev/null"), "without it"),
        (("--kubeconfig", "file"), "needs NODE"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    assert said in why(*arguments, code=2)


@pytest.mark.parametrize("content", ["kind: Pod\n", "[]", "{", '{"spec": {"containers": [], "nodeSelector": 7}}'])
def test_what_is_no_pod_is_refused_in_one_line(content: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "why", *of(GOOD), "--pod", "-"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        input=content,
    )
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("nvtopo: -: ")
