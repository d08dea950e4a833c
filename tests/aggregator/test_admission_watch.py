"""What the aggregator says of the policies that hold agents to their own nodes, and of objects with an odd owner."""

import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from nvtopo.aggregator.admission_watch import MISSING, OWNERS, AdmissionWatch
from nvtopo.errors import ApiError, Forbidden, NotFound
from nvtopo.kube import admission
from nvtopo.kube.admission import POLICIES
from nvtopo.kube.v1alpha1 import Metadata

GROUP = "/apis/admissionregistration.k8s.io/v1"
SERVED = {"resources": [{"name": "validatingadmissionpolicies"}, {"name": "validatingadmissionpolicybindings"}]}
POLICY = {"spec": {"failurePolicy": "Fail"}}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u"}


def binding(name: str, *actions: str) -> dict[str, Any]:
    return {"spec": {"policyName": name, "validationActions": list(actions)}}


def installed() -> dict[str, Any]:
    found: dict[str, Any] = {GROUP: SERVED}
    for name in POLICIES:
        found[f"{GROUP}/validatingadmissionpolicies/{name}"] = POLICY
        found[f"{GROUP}/validatingadmissionpolicybindings/{name}"] = binding(name, "Deny", "Audit")
    return found


class Answers:
    """As much of a client as is asked; an answer that is an exception is raised."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def get(self, path: str, *, seconds: float) -> bytes:
        assert seconds > 0
        answer = self._answers.get(path, NotFound(f"GET {path}: 404", status=404))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)


def look(answers: Mapping[str, Any]) -> tuple[Mapping[str, bool], str]:
    return admission.look(Answers(answers))  # type: ignore[arg-type]


def test_policies_that_are_in_force() -> None:
    assert look(installed()) == (dict.fromkeys(POLICIES, False), "")


def test_the_policy_of_a_component_counts_only_where_it_is_asked_for() -> None:
    answers = installed()
    assert look(answers)[0].get("nvtopo-dra") is None
    client: Any = Answers(answers)
    assert admission.look(client, ["nvtopo-dra"]) == ({**dict.fromkeys(POLICIES, False), "nvtopo-dra": True}, "")
    answers[f"{GROUP}/validatingadmissionpolicies/nvtopo-dra"] = POLICY
    answers[f"{GROUP}/validatingadmissionpolicybindings/nvtopo-dra"] = binding("nvtopo-dra", "Deny")
    assert not any(admission.look(client, ["nvtopo-dra"])[0].values())


@pytest.mark.parametrize("place", ["validatingadmissionpolicies", "validatingadmissionpolicybindings"])
@pytest.mark.parametrize("name", POLICIES)
def test_one_that_is_not_there(place: str, name: str) -> None:
    answers = installed()
    del answers[f"{GROUP}/{place}/{name}"]
    assert look(answers) == ({each: each == name for each in POLICIES}, "")


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("validatingadmissionpolicybindings", binding("nvtopo-agent", "Audit")),
        ("validatingadmissionpolicybindings", binding("nvtopo-agent", "Warn", "Audit")),
        ("validatingadmissionpolicybindings", binding("another", "Deny")),
        ("validatingadmissionpolicybindings", {}),
        ("validatingadmissionpolicies", {"spec": {"failurePolicy": "Ignore"}}),
    ],
    ids=["audits", "warns", "binds-another", "says-nothing", "fails-open"],
)
def test_one_that_stops_nobody_is_missing(place: str, instead: Any) -> None:
    assert look({**installed(), f"{GROUP}/{place}/nvtopo-agent": instead})[0]["nvtopo-agent"] is True


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {GROUP: {"resources": [{"name": "validatingwebhookconfigurations"}]}},
        {GROUP: {"resources": [{"name": "validatingadmissionpolicies"}]}},
        {**installed(), GROUP: ApiError("GET: no answer")},
        {**installed(), GROUP: b"\xff not JSON"},
        {**installed(), f"{GROUP}/validatingadmissionpolicies/nvtopo-agent": Forbidden("GET: 403", status=403)},
        {**installed(), f"{GROUP}/validatingadmissionpolicybindings/nvtopo-agent": b"[" * 100_000},
        {**installed(), f"{GROUP}/validatingadmissionpolicybindings/nvtopo-agent": {"spec": {"policyName": 7}}},
    ],
    ids=["no-group", "old-server", "half", "away", "bytes", "no-right", "deep", "odd"],
)
def test_what_is_not_known_is_not_missing(answers: Mapping[str, Any]) -> None:
    missing, why = look(answers)
    assert missing == {}
    assert why
    assert "\n" not in why


def watch(missing: Mapping[str, bool], why: str, foreign: frozenset[str] | None) -> dict[str, dict[str, float]]:
    """The families after one look: name → labels as text → value."""
    stop = threading.Event()

    def once() -> tuple[Mapping[str, bool], str]:
        stop.set()
        return missing, why

    watched = AdmissionWatch(once, lambda: foreign)
    watched.run(stop)
    return {each.series.name: dict(each.samples) for each in watched.families()}


def test_series_say_what_is_missing_and_how_many_are_odd(caplog: pytest.LogCaptureFixture) -> None:
    found = watch({"nvtopo-agent": True, "nvtopo-agent-events": False}, "", frozenset({"a", "b"}))
    policies = {'{policy="nvtopo-agent"}': 1.0, '{policy="nvtopo-agent-events"}': 0.0}
    assert found == {MISSING.name: policies, OWNERS.name: {"": 2.0}}
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_series_are_absent_if_it_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    assert watch({}, "GET: 403", None) == {MISSING.name: {}}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("metadata", "goes"),
    [
        ({"name": "a", "ownerReferences": [OWNER]}, True),
        ({"name": "a"}, False),
        ({"name": "b", "ownerReferences": [OWNER]}, False),
        ({"name": "a", "ownerReferences": [OWNER, OWNER]}, False),
        ({"name": "a", "ownerReferences": [{**OWNER, "kind": "Pod"}]}, False),
        ({"name": "a", "ownerReferences": [{**OWNER, "apiVersion": "v2"}]}, False),
        ({"name": "a", "ownerReferences": [OWNER], "finalizers": ["example.com/any"]}, False),
    ],
)
def test_an_object_goes_with_its_node_if_that_is_its_one_owner(metadata: Any, goes: bool) -> None:
    assert msgspec.convert(metadata, Metadata).goes_with_its_node is goes
