"""``nvtopo place``: a gang on a recorded rack, and on one machine."""

from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from nvtopo.cli import main
from nvtopo.errors import NvtopoError, UsageError
from nvtopo.placement.result import Assignment, NoFit, PlacementResult

ROOT = Path(__file__).resolve().parents[2]
RACK = str(ROOT / "fixtures/clusters/gb200-nvl72-rack")


def placed(text: str, source: str = RACK) -> tuple[int, PlacementResult]:
    result = CliRunner().invoke(main, ["place", "--from", source, "--request", "-", "--format", "json"], input=text)
    return result.exit_code, msgspec.json.decode(result.stdout, type=Assignment | NoFit)


def spec(**wishes: object) -> str:
    return msgspec.json.encode({"kind": "PlacementRequest", "spec": wishes}).decode()


def test_a_gang_stays_inside_the_nvlink_domain() -> None:
    code, answer = placed(spec(pods=6, gpusPerPod=4, required="nvlinkDomain"))
    assert code == 0
    assert isinstance(answer, Assignment)
    assert answer.level == "nvlinkDomain"
    assert [rank.node for rank in answer.ranks] == [f"nvl72-r01-t{tray:02}" for tray in range(6)]


def test_a_gang_that_fits_nowhere_says_why_and_exits_1() -> None:
    code, answer = placed(spec(pods=19, gpusPerPod=4))
    assert code == 1
    assert isinstance(answer, NoFit)
    assert sum(answer.counts.values()) == answer.nodes == 18


def test_a_tier_that_nobody_knows_is_not_invented() -> None:
    code, answer = placed(spec(pods=19, gpusPerPod=4, required="leaf"))
    assert code == 1
    assert isinstance(answer, NoFit)
    assert answer.counts == {"its leaf is not known": 18}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("spec: {pods: 0}", "Expected `int` >= 1 - at `$.spec.pods`"),
        ("spec: {pods: 1, tier: leaf}", "unknown field `tier`"),
        ("kind: Pod\nspec: {pods: 1}", "Invalid enum value 'Pod'"),
        ("[", "expected a PlacementRequest"),
        ("spec: {pods: 1, required: leaf, affinity: same-node}", "spec.required is leaf and spec.affinity means node"),
        ("spec: {pods: 4, required: node, slice: {pods: 2, tier: leaf}}", "farther than the gang's"),
        ("\udcff", "expected a PlacementRequest"),
    ],
)
def test_a_request_that_is_none_is_refused_in_one_line(text: str, says: str) -> None:
    result = CliRunner().invoke(
        main, ["place", "--from", RACK, "--request", "-"], input=text.encode("utf-8", "surrogateescape")
    )
    assert isinstance(result.exception, NvtopoError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_host_files() -> None:
    for form, says in (("hostfile", "nvl72-r01-t00 slots=4\n"), ("rankfile", "rank 5=nvl72-r01-t01 slot=1\n")):
        result = CliRunner().invoke(
            main, ["place", "--from", RACK, "--request", "-", "--format", form], input=spec(pods=2, gpusPerPod=4)
        )
        assert says in result.stdout


def test_files_have_no_allocations() -> None:
    arguments = ["place", "--from", RACK, "--allocations", "--request", "-"]
    refused = CliRunner().invoke(main, arguments, standalone_mode=False)
    assert isinstance(refused.exception, UsageError)
    assert "--allocations asks the API server" in str(refused.exception)


DEPLOYMENT = (
    "{kind: InferenceDeployment, metadata: {name: d}, spec: {tp: 8, replicas: 2, maxReplicas: 12, slo: {ttftMs: 200}}}"
)


def test_a_deployment_s_replicas_and_its_room() -> None:
    arguments = ["place", "--from", RACK, "--deployment", "-"]
    shown = CliRunner().invoke(main, arguments, input=DEPLOYMENT)
    assert shown.exit_code == 0
    assert "Room for 9 of at most 12 replicas; 2 are asked for." in shown.stdout
    assert "Left to an autoscaler: slo.ttftMs." in shown.stdout
    many = CliRunner().invoke(main, [*arguments, "-o", "json"], input=DEPLOYMENT.replace("replicas: 2", "replicas: 10"))
    assert many.exit_code == 1
    found = msgspec.json.decode(many.stdout)
    assert (found["room"], len(found["replicas"]), found["noFit"]["nodes"]) == (9, 9, 18)


def grove(affinity: str, **wishes: int) -> Result:
    spec = {"tp": 8, "topology": {"affinity": affinity}} | wishes
    text = msgspec.json.encode({"kind": "InferenceDeployment", "metadata": {"name": "d"}, "spec": spec}).decode()
    return CliRunner().invoke(main, ["place", "--from", RACK, "--deployment", "-", "-o", "grove"], input=text)


def test_grove_packs_each_replica_by_the_domain_that_the_topology_exports() -> None:
    found = msgspec.json.decode(grove("same-nvlink-domain").stdout)
    constraint = found["spec"]["template"]["topologyConstraint"]
    assert constraint == {"topologyName": "nvtopo", "pack": {"required": "rack"}}
    exported = CliRunner().invoke(main, ["export", "grove", "--from", RACK])
    (binding,) = yaml.safe_load_all(exported.stdout)
    assert constraint["topologyName"] == binding["metadata"]["name"]
    assert {"domain": "rack", "key": "nvtopo.io/topology.nvlink-domain"} in binding["spec"]["levels"]


@pytest.mark.parametrize(
    ("affinity", "wishes", "says"),
    [
        ("same-leaf", {}, "no domain for leaf"),
        ("same-rack", {}, "no domain for rack"),
        ("same-node", {"pp": 2, "tp": 4}, "a replica is in no one node"),
    ],
)
def test_what_grove_cannot_pack_by_is_said(affinity: str, wishes: dict[str, int], says: str) -> None:
    error = grove(affinity, **wishes).exception
    assert isinstance(error, NvtopoError)
    assert says in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--deployment", "-", "-o", "grove"],
        ["--request", "-", "-o", "grove"],
        ["--deployment", "-", "--request", "-"],
        ["--deployment", "-", "-o", "rankfile"],
        ["--request", "-", "--running", RACK + "/PROVENANCE"],
    ],
)
def test_a_request_or_a_deployment(arguments: list[str]) -> None:
    refused = CliRunner().invoke(main, ["place", "--from", RACK, *arguments], input=DEPLOYMENT, standalone_mode=False)
    assert isinstance(refused.exception, UsageError)
