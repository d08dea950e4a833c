"""Node Feature Discovery's ``NodeFeature`` object: the labels, and features that users' NodeFeatureRules can match on.

Beside what the feature file can say (``nvtopo.label`` has the labels, as ``local.label`` does those of files) it has
``nvtopo.node`` and instances: ``nvtopo.gpu``, ``nvtopo.nic`` and ``nvtopo.nvlink``, one for each group of GPUs. It is
a few KiB, and sent when it changed; every ten minutes the same is applied again, so that what somebody deleted or
edited is back. Unlike the file it has no expiry: it goes with its Node, and with its namespace.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from nvtopo.errors import ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.store import AGENT
from nvtopo.kube.v1alpha1 import Head
from nvtopo.model.derive import Derived, derive
from nvtopo.model.fabric import gpu_domain, verdict
from nvtopo.model.features import features, members, ready
from nvtopo.model.node import Gpu, Nic, NodeTopology
from nvtopo.sinks.refresh import Refresh

API_VERSION: Final = "nfd.k8s-sigs.io/v1alpha1"
NODE_LABEL: Final = "nfd.node.kubernetes.io/node-name"
"""By this label nfd-master knows whose features they are."""

Elements = dict[str, str]
Document = dict[str, object]


def name_of(node: str) -> str:
    """The object's name; the node's own is what NFD's worker calls its object."""
    return f"nvtopo-{node}"


def path(namespace: str, node: str) -> str:
    """The object's path at the API server."""
    return f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/nodefeatures/{quote(name_of(node), safe='')}"


def spec(node: NodeTopology, derived: Derived) -> Document:
    """The object's ``spec``; equal nodes give equal ones."""
    instances = {
        "nvtopo.gpu": [_gpu(gpu, derived) for gpu in node.gpus],
        "nvtopo.nic": [_nic(nic, derived) for nic in node.nics],
        "nvtopo.nvlink": [_group(number, derived) for number in range(len(derived.nvlink_groups or ()))],
    }
    labels = features(node, derived)
    found = {
        "attributes": {"nvtopo.label": {"elements": labels}, "nvtopo.node": {"elements": _node(node, derived)}},
        "instances": {
            name: {"elements": [{"attributes": one} for one in elements]}
            for name, elements in instances.items()
            if elements
        },
    }
    return {"features": found, "labels": labels}


def document(namespace: str, node: str, node_uid: str, content: Document) -> Document:
    """The whole object; it goes with the Node that has this ``uid``."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid}
    metadata = {
        "name": name_of(node),
        "namespace": namespace,
        "labels": {NODE_LABEL: node},
        "ownerReferences": [owner],
    }
    return {"apiVersion": API_VERSION, "kind": "NodeFeature", "metadata": metadata, "spec": content}


class NodeFeatureSink:
    """Writes one node's NodeFeature. What could not be written is tried at the next ``write``."""

    name = "node-feature"

    def __init__(
        self,
        client: Client,
        node: str,
        namespace: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``draw`` spreads the refreshes of many nodes, with numbers from [0, 1)."""
        self._client = client
        self._node = node
        self._namespace = namespace
        self._refresh = Refresh(clock, draw)

    def write(self, topology: NodeTopology) -> None:
        """Apply the object if that is called for.

        Raises:
            ApiError: it was not written: ``NotFound`` where there is no such Node, no namespace or no NFD.
        """
        content = spec(topology, derive(topology))
        if not self._refresh.called_for(content):
            return
        body = msgspec.json.encode(document(self._namespace, self._node, self._node_uid(), content))
        self._client.apply(path(self._namespace, self._node), body, manager=AGENT)
        self._refresh.written(content)

    def _node_uid(self) -> str:
        """Read at every write, of which there are few: a Node made anew has another."""
        where = f"/api/v1/nodes/{quote(self._node, safe='')}"
        try:
            return msgspec.json.decode(self._client.get(where), type=Head).metadata.uid
        except msgspec.MsgspecError as error:
            raise ParseError(f"GET {where}: expected an object with metadata: {error}") from error


def _node(node: NodeTopology, derived: Derived) -> Elements:
    groups = derived.nvlink_groups
    training = any(gpu.nvlink_training for gpu in node.gpus)
    return _elements(
        {
            "gpus": len(node.gpus),
            "nics": len(node.nics),
            "driverVersion": node.host.driver_version,
            "cudaVersion": node.host.cuda_version,
            "product": node.host.product,
            "hypervisor": node.host.hypervisor,
            "fabric": derived.fabric,
            "nvlinkDomain": derived.nvlink_domain,
            "nvlinkGroups": None if groups is None else len(groups),
            "nvlinkDegraded": None if training else len(derived.nvlink_degraded),
            "rails": len(derived.rails),
            "gpudirect": derived.gpudirect,
            "complete": derived.complete,
            "ready": ready(node, derived),
        }
    )


def _gpu(gpu: Gpu, derived: Derived) -> Elements:
    nearest = derived.nearest_nics[gpu.key]
    groups = enumerate(derived.nvlink_groups or ())
    return _elements(
        {
            "index": gpu.index,
            "name": gpu.name,
            "pciBusID": gpu.pci_address,
            "numaNode": gpu.numa_node,
            "memoryBytes": gpu.memory_bytes,
            "mig": gpu.mig,
            "pcieGeneration": gpu.link.max_generation if gpu.link else None,
            "nvlinks": sum(bundle.count for bundle in gpu.nvlinks if bundle.usable) if gpu.nvlinks else None,
            "nvlinkGroup": next((f"G{number}" for number, group in groups if gpu.index in group), None),
            "nvlinkDegraded": None if gpu.nvlink_training else gpu.index in derived.nvlink_degraded,
            "nvlinkDomain": gpu_domain(gpu.fabric),
            "fabric": verdict(gpu.fabric),
            "nicLevel": nearest.level,
            "nics": ",".join(nearest.nics) if nearest.level != "SYS" else None,
        }
    )


def _nic(nic: Nic, derived: Derived) -> Elements:
    port = nic.ports[0] if nic.ports else None
    return _elements(
        {
            "name": nic.name,
            "pciBusID": nic.pci_address,
            "numaNode": nic.numa_node,
            "role": derived.nic_roles.get(nic.name),
            "rail": derived.rails.get(nic.name),
            "linkLayer": port.link_layer if port else None,
            "state": port.state if port else nic.operstate,
            "bytesPerSecond": port.rate_bytes_per_second if port else nic.speed_bytes_per_second,
            "rdmaMtuBytes": port.active_mtu_bytes if port else None,
            "gidIndex": port.gid_index if port else None,
            "mtuBytes": nic.mtu_bytes,
            "virtualFunctions": nic.virtual_functions,
        }
    )


def _group(number: int, derived: Derived) -> Elements:
    group = (derived.nvlink_groups or ())[number]
    keys = {f"GPU{index}" for index in group}
    links = [
        int(pair.link.removeprefix("NV"))
        for pair in derived.gpu_pairs
        if {pair.a, pair.b} <= keys and pair.link is not None and pair.link.startswith("NV")
    ]
    return _elements(
        {
            "name": f"G{number}",
            "gpus": len(group),
            "members": members(group),
            "links": min(links, default=None),
            "fullMesh": (derived.nvlink_full_mesh or ())[number],
        }
    )


def _elements(found: Mapping[str, str | int | bool | None]) -> Elements:
    """What is known, as texts: NFD compares numbers that are written plainly, and ``true`` and ``false``."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in found.items()
        if value is not None and value != ""
    }
