"""The recipes of the docs against a real API server: what it knows, it takes without an unknown field."""

import pytest

from tests import yaml_text
from tests.lab.control_plane import ControlPlane
from tests.test_docs import RECIPES, TEAM

pytestmark = pytest.mark.lab

#: The others are of APIs that the lab does not have.
_KNOWN = ("v1", "batch/v1")
CORE = [recipe for recipe in RECIPES if yaml_text.read(recipe.read_text(encoding="utf-8"))["apiVersion"] in _KNOWN]
PAIR = [recipe for name in ("near", "crossed") for recipe in RECIPES[0].parent.glob(f"pair/{name}.yaml")]


def test_a_server_dry_run_takes_every_recipe_of_core_kinds(control_plane: ControlPlane) -> None:
    api = control_plane.api()
    assert {recipe.stem for recipe in CORE} >= {
        "eight-gpus",
        "four-gpus",
        "same-domain",
        "roce-mtu",
        "numa-aligned",
        "doctor",
    }
    for recipe in CORE:
        document = yaml_text.read(recipe.read_text(encoding="utf-8"))
        document["metadata"]["namespace"] = "default"
        if document["kind"] == "Job":
            place = "/apis/batch/v1/namespaces/default/jobs"
        else:
            place = "/api/v1/namespaces/default/pods"
            document["spec"]["automountServiceAccountToken"] = False
        answer = api.request("POST", f"{place}?dryRun=All&fieldValidation=Strict", document)
        assert answer["metadata"]["name"] == document["metadata"]["name"]


def test_a_server_dry_run_takes_the_pair_of_jobs(control_plane: ControlPlane) -> None:
    api = control_plane.api()
    kinds = []
    for recipe in PAIR:
        for document in yaml_text.read_all(recipe.read_text(encoding="utf-8")):
            group = "/apis/batch/v1" if document["kind"] == "Job" else "/api/v1"
            place = f"{group}/namespaces/default/{document['kind'].lower()}s"
            answer = api.request("POST", f"{place}?dryRun=All&fieldValidation=Strict", document)
            assert answer["metadata"]["name"] == document["metadata"]["name"]
            kinds.append(document["kind"])
    assert kinds == ["Service", "Job"] * 2


def test_a_server_dry_run_takes_quota_and_priority_of_a_team(control_plane: ControlPlane) -> None:
    """In a namespace that there is; the pod's class too is only there in the dry run, so it is left to its name."""
    api = control_plane.api()
    for document in yaml_text.read_all(TEAM.read_text(encoding="utf-8")):
        if document["kind"] == "PriorityClass":
            place = "/apis/scheduling.k8s.io/v1/priorityclasses"
        else:
            document["metadata"]["namespace"] = "default"
            place = f"/api/v1/namespaces/default/{document['kind'].lower()}s"
        if document["kind"] == "Pod":
            assert document["spec"].pop("priorityClassName") == "gpu-batch"
            document["spec"]["automountServiceAccountToken"] = False
        answer = api.request("POST", f"{place}?dryRun=All&fieldValidation=Strict", document)
        assert answer["metadata"]["name"] == document["metadata"]["name"]
