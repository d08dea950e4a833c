"""What shadows cost the scheduler: ``bench/dra [--nodes N] [--runs N] [--json]``.

The lab's own control plane has nodes of 8 GPUs in two NVLink groups, published as NVIDIA's driver does, with a shadow
for each GPU and a device for the whole node. Pods ask for 1, 2 and 4 GPUs: by a claim on GPUs alone, and by the
exported template with shadows; and for all 8, alone and by the template with the node's device. Each ask is timed from
the pod's creation to the scheduler's verdict, once where it fits and once where it fits on no node. All in one run: the
machine is noisy, so only the ratio says something.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nvtopo.exporters.schedulers import kinds
from tests.exporters import clusters
from tests.exporters.claims import SLICES, attributes, device_class, publish_gpus
from tests.lab import build, kube
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, Json
from tests.lab.process import LabError

EXIT_READ: Final = 3
ASKS: Final = (1, 2, 4)
GPUS: Final = 8
SPACE: Final = "bench"
CLAIMS: Final = f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
_WAYS: Final = ("plain", "shadows", "node")
_POLL_SECONDS: Final = 0.005
_numbers = itertools.count()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/dra", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=60, metavar="N", help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each ask; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    options = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="nvtopo-dra-") as directory,
            ControlPlane(build.ensure(build.say), Path(directory)) as plane,
        ):
            found = measured(plane.api(), options.nodes, options.runs)
    except (LabError, TimeoutError) as error:
        print(f"bench/dra: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(found, options.nodes))
    if options.json:
        print(json.dumps({"nodes": options.nodes, "runs": options.runs, "seconds": found}))
    return 0


def measured(api: Api, nodes: int, runs: int) -> dict[str, dict[str, float]]:
    """Ask → ``plain``, ``shadows`` or ``node`` → median seconds, where it fits and where it does not."""
    kube.create_namespace(api, SPACE)
    api.apply(device_class("gpu.nvidia.com", "gpu.nvidia.com"))
    for export in (clusters.edge(), clusters.hgx()):
        for document in kinds.OBJECTS["dra"](export):
            if document["kind"] == "DeviceClass":
                api.apply(document)
    names = [f"bench-{number:03}" for number in range(nodes)]
    for name in names:
        kube.create_node(api, name)
    found: dict[str, dict[str, float]] = {}
    for fits in (True, False):
        word = "fits" if fits else "fits nowhere"
        for ask in ASKS:
            _publish(api, names, ask if not fits else 0)
            found[f"{ask} GPUs, {word}"] = {
                "plain": _median(api, plain(ask, fits=fits), runs, fits=fits),
                "shadows": _median(api, shadowed(ask), runs, fits=fits),
            }
        _publish(api, names, 0)
        _publish_nodes(api, names, GPUS if fits else GPUS - 1)
        found[f"{GPUS} GPUs, {word}"] = {
            "plain": _median(api, plain(GPUS, fits=fits), runs, fits=fits),
            "node": _median(api, whole_node(), runs, fits=fits),
        }
    return found


def plain(count: int, *, fits: bool) -> Json:
    """GPUs alone; where it is not to fit, GPUs of a UUID that none has."""
    selectors = [] if fits else [{"cel": {"expression": 'device.attributes["gpu.nvidia.com"].uuid == "GPU-none"'}}]
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count, "selectors": selectors}
    return {"requests": [{"name": "gpus", "exactly": exactly}]}


def shadowed(count: int) -> Json:
    """As the exported template asks: ``pair`` and ``quad``, and one GPU with its shadow."""
    (pair,) = (
        document
        for document in kinds.OBJECTS["dra"](clusters.edge())
        if document["metadata"]["name"] == ("nvtopo-quad" if count == max(ASKS) else "nvtopo-pair")
    )
    devices: Json = pair["spec"]["spec"]["devices"]
    wanted = {f"{kind}-{number}" for kind in ("gpu", "shadow") for number in range(count)}
    constraints = [one for one in devices["constraints"] if {*one["requests"]} <= wanted and len(one["requests"]) > 1]
    requests = [one for one in devices["requests"] if one["name"] in wanted]
    return {"requests": requests, "constraints": constraints}


def whole_node() -> Json:
    """As the exported template ``node-8`` asks."""
    name = f"nvtopo-node-{GPUS}"
    (found,) = (one for one in kinds.OBJECTS["dra"](clusters.hgx()) if one["metadata"]["name"] == name)
    devices: Json = found["spec"]["spec"]["devices"]
    return devices


def _publish_nodes(api: Api, names: list[str], gpus: int) -> None:
    """The device for each whole node, as the plugin publishes it: in a pool of its own."""
    device = {"name": "node", "attributes": attributes({"type": "node-shadow", "gpus": gpus})}
    for name in names:
        pool = {"name": f"{name}/node", "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": "topo.nvtopo.io", "nodeName": name, "pool": pool, "devices": [device]}
        kind = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"}
        api.apply({**kind, "metadata": {"name": f"{name}-node"}, "spec": spec})


def _publish(api: Api, names: list[str], too_few_for: int) -> None:
    """Two groups of four; or groups so small that this ask fits in none, and for one GPU no shadow of any GPU."""
    size = max(1, too_few_for - 1) if too_few_for else GPUS // 2
    groups = {index: f"G{index // size}" for index in range(GPUS)}
    for name in names:
        publish_gpus(api, name, groups)
        if too_few_for == 1:
            api.delete(f"{SLICES}/{name}-topo-nvtopo-io")


def _median(api: Api, devices: Mapping[str, Any], runs: int, *, fits: bool) -> float:
    """Of the runs after the first, which waits until the scheduler knows what was published."""
    deadline = time.monotonic() + 60
    while _seconds(api, devices, fits=fits) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the scheduler decides otherwise than was expected")
    timed = [_seconds(api, devices, fits=fits) for _ in range(runs)]
    return round(statistics.median([one for one in timed if one is not None]), 4)


def _seconds(api: Api, devices: Mapping[str, Any], *, fits: bool) -> float | None:
    """From the pod to the verdict; None if that is not the one that was meant."""
    name = f"p{next(_numbers)}"
    api.create(CLAIMS, {"metadata": {"name": name}, "spec": {"devices": {**devices}}})
    began = time.perf_counter()
    kube.create_pod(api, SPACE, name, resourceClaims=[{"name": "devices", "resourceClaimName": name}])
    said = kube.wait_for(
        lambda: _verdict(api, name), what="the scheduler's verdict", seconds=60, interval=_POLL_SECONDS
    )
    took = time.perf_counter() - began
    for path in (f"{PODS}/{name}", f"{CLAIMS}/{name}"):
        api.delete(path)
    kube.wait_for(lambda: api.find(f"{CLAIMS}/{name}") is None, what="the claim to go", seconds=60)
    return took if (said == "bound") == fits else None


def _verdict(api: Api, name: str) -> str:
    pod = api.get(f"{PODS}/{name}")
    if pod["spec"].get("nodeName"):
        return "bound"
    conditions = pod.get("status", {}).get("conditions", [])
    said = any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)
    return "refused" if said else ""


def table(found: Mapping[str, Mapping[str, float]], nodes: int) -> str:
    """For people."""
    lines = [
        f"{nodes} nodes of {GPUS} GPUs, from the pod to the verdict, median",
        f"{'':24} {'plain':>9} {'shadows':>9} {'node':>9}".rstrip(),
    ]
    lines += [f"{ask:24} {' '.join(_cell(one, way) for way in _WAYS)}".rstrip() for ask, one in found.items()]
    return "\n".join(lines)


def _cell(one: Mapping[str, float], way: str) -> str:
    return f"{one[way]:7.3f} s" if way in one else " " * 9


if __name__ == "__main__":
    sys.exit(main())
