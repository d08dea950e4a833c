"""The recipe that runs doctor on every node: confined as the agent is, and its exit codes are the program's."""

from typing import Any, Final

import click
import yaml

import nvtopo
from nvtopo.cli import doctor
from tests.daemonset import shipped
from tests.daemonset.shipped import DAEMONSET, Json

JOB: Final[Json] = yaml.safe_load((DAEMONSET.parent / "docs/recipes/doctor.yaml").read_text(encoding="utf-8"))
POD: Final = shipped.pod_of(JOB)
(CONTAINER,) = POD["containers"]


def agent() -> tuple[Json, Json]:
    pod = shipped.pod_of(shipped.one(shipped.base(), "DaemonSet", "nvtopo-agent"))
    return pod, pod["containers"][0]


def test_it_may_do_no_more_than_the_agent() -> None:
    pod, container = agent()
    allowed = {**pod["securityContext"], **container["securityContext"]}
    asked: dict[str, Any] = {**POD["securityContext"], **CONTAINER["securityContext"]}
    assert {key: value for key, value in asked.items() if key != "capabilities"}.items() <= allowed.items()
    assert asked["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostIPC", "volumes"} & POD.keys()
    assert POD["hostNetwork"] is pod["hostNetwork"] is True


def test_it_reads_what_the_agent_reads() -> None:
    _, container = agent()
    given = [one for one in container["env"] if one["name"] != "HOST_IP"]
    assert CONTAINER["env"] == given
    assert CONTAINER["image"].rpartition("/")[2] == f"nvtopo:{nvtopo.__version__}"


def test_its_arguments_are_doctor_s() -> None:
    verb, *arguments = CONTAINER["args"]
    context = doctor.command.make_context(verb, list(arguments))
    assert isinstance(context, click.Context)
    assert verb == "doctor"


def test_what_is_not_ready_or_not_known_fails_its_index_and_is_not_tried_again() -> None:
    (rule,) = JOB["spec"]["podFailurePolicy"]["rules"]
    codes = {code for verdict, code in doctor._EXITS.items() if verdict != "ready"}
    assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailIndex", "In")
    assert set(rule["onExitCodes"]["values"]) == codes
    assert rule["onExitCodes"]["containerName"] == CONTAINER["name"]
    assert JOB["spec"]["backoffLimitPerIndex"] == 0


def test_each_node_has_one_pod() -> None:
    labels = JOB["spec"]["template"]["metadata"]["labels"]
    (apart,) = POD["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    assert JOB["spec"]["completions"] == JOB["spec"]["parallelism"]
