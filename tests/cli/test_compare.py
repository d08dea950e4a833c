"""``nvtopo compare``: canary nodes by name and by labels, in words and in JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from nvtopo.cli import main
from nvtopo.cli.node_labels import matches, parse
from nvtopo.errors import ParseError, UsageError
from nvtopo.kube.v1alpha1 import spec_document
from nvtopo.model.records.node import NodeTopology
from tests.cluster import fleets


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Six machines; the first two have another driver, and the first has a slow port."""
    slow = replace(fleets.machine(driver="590.1"), nics=(fleets.nic(0), fleets.nic(1, mtu_bytes=1500)))
    nodes: dict[str, NodeTopology] = {"n0": slow, "n1": fleets.machine(number=1, driver="590.1")}
    nodes |= {f"n{number}": fleets.machine(number=number) for number in range(2, 6)}
    folder = tmp_path / "fleet"
    folder.mkdir()
    for name, node in nodes.items():
        (folder / f"{name}.json").write_bytes(spec_document(name, node, "uid"))
    return folder


def test_what_differs_is_said_in_words_and_a_loss_exits_1(fleet: Path) -> None:
    result = run("--from", str(fleet), "--nodes", "n0,n1")
    assert result.stdout.splitlines() == [
        "loss: mlx5_1: MTU 9000 → 1500 on 1 of 2 canary nodes (n0), 0 of 4 others",
        "host: driver version 580.65.06 → 590.1 on 2 of 2 canary nodes (n0, n1), 0 of 4 others",
        "compared 2 canary nodes with 4 other nodes",
    ]
    assert result.exit_code == 1


def test_another_version_alone_exits_0(fleet: Path) -> None:
    result = run("--from", str(fleet), "--nodes", "n1", "--against", "n3,n4", "--format", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["lost"], document["rest"]) == (0, False, ["n3", "n4"])
    assert [(one["path"], one["before"], one["after"]) for one in document["differences"]] == [
        ("driverVersion", "580.65.06", "590.1")
    ]


def test_canary_nodes_by_label(fleet: Path, tmp_path: Path) -> None:
    labels = tmp_path / "nodes.json"
    items = [
        {"metadata": {"name": f"n{number}", "labels": {"canary": str(number == 2).lower()}}} for number in range(7)
    ]
    labels.write_text(json.dumps({"kind": "NodeList", "items": items}))
    result = run("--from", str(fleet), "--selector", "canary=true", "--labels", str(labels), "--against", "n3,n4,n5")
    assert (result.stdout, result.exit_code) == ("compared 1 canary node with 3 other nodes: nothing differs\n", 0)
    labels.write_text("{}")
    refused = run("--from", str(fleet), "--selector", "canary=true", "--labels", str(labels))
    assert isinstance(refused.exception, ParseError)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "expected --selector or --nodes, one of them"),
        (("--nodes", "n0", "--selector", "a=b"), "expected --selector or --nodes, one of them"),
        (("--nodes", "n0,nobody"), "--nodes: expected nodes of the cluster, got nobody"),
        (("--nodes", "n0", "--against", "n0"), "expected each node on one side, got n0 on both"),
        (("--nodes", ""), "expected nodes on both sides, got 0 canary and 6 others"),
        (("--selector", "a b"), "expected labels such as canary=true"),
        (("--selector", "a=b"), "--selector with --from needs --labels"),
        (("--nodes", "n0", "--labels", "/dev/null"), "--labels needs --selector"),
    ],
)
def test_wrong_usage_is_said_in_one_line(fleet: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run("--from", str(fleet), *arguments)
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)


@pytest.mark.parametrize(
    ("selector", "labels", "found"),
    [
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a=b,c", {"a": "b"}, False),
        ("a=b,!c", {"a": "b"}, True),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
    ],
)
def test_selectors_of_equality(selector: str, labels: dict[str, str], found: bool) -> None:
    assert matches(labels, parse(selector)) is found
