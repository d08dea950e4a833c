"""What is exported, applied to a real API server with the consumers' own CRDs and Kubernetes' own validation."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from nvtopo.exporters.schedulers import kinds
from tests.exporters import clusters, schemas
from tests.exporters.odd import ODD
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: The workload API of 1.36 is alpha, and its DeviceTaintRules are off.
FLAGS: Final = (
    "--runtime-config=scheduling.k8s.io/v1alpha2=true,resource.k8s.io/v1beta2=true",
    "--feature-gates=GenericWorkload=true,TopologyAwareWorkloadScheduling=true,DRADeviceTaintRules=true",
)


@pytest.fixture(name="api", scope="module")
def _api(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kube.Api]:
    folder = schemas.folder()
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("consumers"), flags=FLAGS) as plane:
        api = plane.api()
        for file in sorted(folder.glob("*.yaml")):
            api.apply_file(file)
        kube.create_namespace(api, "nvtopo")
        yield api


def apply(api: kube.Api, document: dict[str, Any]) -> str:
    """Strictly: a field that the server does not know is refused. The object's path."""
    path = api.path_of(document)
    query = "fieldManager=nvtopo-test&force=true&fieldValidation=Strict"
    api.request("PATCH", f"{path}?{query}", document, content_type="application/apply-patch+yaml")
    return path


EVERY: Final = {**clusters.CLUSTERS, **ODD}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", kinds.OBJECTS)
def test_the_server_takes_it(api: kube.Api, name: str, kind: str) -> None:
    for document in kinds.OBJECTS[kind](EVERY[name]()._replace(name=f"nvtopo-{name.replace(' ', '-')}")):
        path = apply(api, document)
        wanted = document.get("spec", document.get("zones"))
        found = api.get(path)
        assert _holds(found.get("spec", found.get("zones")), wanted)
        api.delete(path)


def test_the_server_would_refuse(api: kube.Api) -> None:
    (document,) = kinds.OBJECTS["kai"](clusters.small())
    with pytest.raises(kube.ApiError):
        apply(api, document | {"spec": {"levels": [{"nodeLabel": "a/b", "other": "x"}]}})


def _holds(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted came back; the server adds defaults."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)
