import json
from typing import Any

import pytest

from nvtopo.kube.unowned_fields import removal

OURS = {"kind": "K", "metadata": {"name": "a"}, "spec": {"host": {"kernel": "6"}, "gpus": [{"index": 0}]}}


def removed(stored: Any) -> list[str]:
    patch = json.loads(removal(json.dumps(OURS).encode(), json.dumps(stored).encode()) or b"[]")
    assert {step["op"] for step in patch} <= {"remove"}
    return [step["path"] for step in patch]


def test_what_is_as_we_applied_it_stays() -> None:
    stored = OURS | {"metadata": {"name": "a", "labels": {"theirs": "yes"}, "uid": "1"}, "status": {"domain": "d"}}
    assert removed(stored) == []


@pytest.mark.parametrize(
    ("spec", "pointers"),
    [
        ({"problems": []}, ["/spec/problems"]),
        ({"host": {"kernel": "6", "a/b~c": 1}}, ["/spec/host/a~1b~0c"]),
        ({"gpus": [{"index": 0, "name": "x"}]}, []),
    ],
    ids=["a-member", "within-a-member", "within-a-list"],
)
def test_what_others_added_goes(spec: Any, pointers: list[str]) -> None:
    assert removed(OURS | {"spec": OURS["spec"] | spec}) == pointers


@pytest.mark.parametrize("stored", [b"", b"{}", b"[]", b'{"spec": null}', b'{"spec": 1}', b"<html>"])
def test_an_answer_that_is_no_such_object_changes_nothing(stored: bytes) -> None:
    assert removal(json.dumps(OURS).encode(), stored) is None
