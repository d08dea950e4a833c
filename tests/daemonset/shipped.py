"""What `kubectl apply -k daemonset/` would apply, without kubectl: resources, components and JSON patches, and no more.

`tests/chart/test_parity.py` compares it with kustomize's own answer.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

import nvtopo
from tests import yaml_text

Json = dict[str, Any]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
COMPONENTS: Final = tuple(sorted(path.parent.name for path in DAEMONSET.glob("components/*/kustomization.yaml")))
#: All that this knows; anything else in a kustomization is an error and not silently left out.
_KNOWN: Final = {"apiVersion", "kind", "resources", "components", "patches"}


def base() -> list[Json]:
    """The objects of `daemonset/` itself."""
    return with_components(())


def with_components(names: Sequence[str]) -> list[Json]:
    """As an overlay with these components gives them."""
    objects: list[Json] = []
    _accumulate(DAEMONSET, objects)
    for name in names:
        _accumulate(DAEMONSET / "components" / name, objects)
    return objects


def one(objects: Sequence[Json], kind: str, name: str) -> Json:
    """The object of that kind and name."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(workload: Json) -> Json:
    """The pod's spec in a DaemonSet or Deployment."""
    spec: Json = workload["spec"]["template"]["spec"]
    return spec


def containers(objects: Sequence[Json]) -> Iterator[tuple[str, Json, Json]]:
    """Name, pod and container of each container, those of initialisation too."""
    for workload in objects:
        if workload["kind"] in ("DaemonSet", "Deployment"):
            pod = pod_of(workload)
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                yield f"{workload['metadata']['name']}/{container['name']}", pod, container


def plain(record: msgspec.Struct) -> Json:
    """The record as JSON has it."""
    document: Json = msgspec.json.decode(msgspec.json.encode(record))
    return document


def _accumulate(folder: Path, objects: list[Json]) -> None:
    kustomization = yaml_text.read((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = kustomization.keys() - _KNOWN
    if unknown:
        raise NotImplementedError(f"{folder}: kustomization with {sorted(unknown)}")
    for resource in kustomization.get("resources") or ():
        objects.extend(document for document in yaml_text.read_all((folder / resource).read_text("utf-8")) if document)
    for component in kustomization.get("components") or ():
        _accumulate(folder / component, objects)
    for patch in kustomization.get("patches") or ():
        target = one(objects, patch["target"]["kind"], patch["target"]["name"])
        for operation in yaml_text.read(patch["patch"]):
            _change(target, operation)


def _change(document: Json, operation: Json) -> None:
    """RFC 6902's `add` and `remove`, for paths without escapes."""
    *way, last = operation["path"].strip("/").split("/")
    place: Any = document
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    # YAML anchors share what they name: a patch must not change their other places.
    match operation["op"], place:
        case "add", list() if last == "-":
            place.append(copy.deepcopy(operation["value"]))
        case "add", dict():
            place[last] = copy.deepcopy(operation["value"])
        case "remove", dict():
            del place[last]
        case _:
            raise NotImplementedError(json.dumps(operation))
