"""Node Feature Discovery's ``NodeFeature`` object: the labels, and features that users' NodeFeatureRules can match on.

Beside what the feature file can say (``nvtopo.label`` has the labels, as ``local.label`` does those of files) it has
``nvtopo.node`` and instances: ``nvtopo.gpu``, ``nvtopo.nic`` and ``nvtopo.nvlink``, one for each group of GPUs. It has
a few KiB and is sent after a change; every ten minutes the same content is applied again, to restore what somebody
deleted or edited. Unlike the file it does not expire: it is deleted with its Node or its namespace.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from nvtopo.kube.client import Client
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.topology_writer import AGENT
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.fabric import Verdict, gpu_domain, verdicts
from nvtopo.model.conclusions.features import features, members
from nvtopo.model.conclusions.health import gpu_nvlink_degraded
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.product_labels import product_features
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.sinks.publish.refresh import Refresh
from nvtopo.sinks.publish.sink import Sink

API_VERSION: Final = "nfd.k8s-sigs.io/v1alpha1"
NODE_LABEL: Final = "nfd.node.kubernetes.io/node-name"
"""The label that names the object's node to nfd-master."""

Elements = dict[str, str]
Document = dict[str, object]


def name_of(node: str) -> str:
    """The object's name; the node's own is what NFD's worker calls its object."""
    return f"nvtopo-{node}"


def path(namespace: str, node: str) -> str:
    """The object's path at the API server."""
    return f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/nodefeatures/{quote(name_of(node), safe='')}"


def spec(node: NodeTopology, derived: Derived, *, product: bool = False) -> Document:
    """The object's ``spec``; equal nodes give equal ones. ``product``: with labels of driver, CUDA and product."""
    instances = {
        "nvtopo.gpu": [
            _gpu(gpu, derived, verdict) for gpu, verdict in zip(node.gpus, verdicts(node).values(), strict=True)
        ],
        "nvtopo.nic": [_nic(nic, derived) for nic in node.nics],
        "nvtopo.nvlink": [_group(number, derived) for number in range(len(derived.nvlink_groups or ()))],
    }
    labels = features(node, derived) | (product_features(node) if product else {})
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


class NodeFeatureSink(Sink):
    """Writes one node's NodeFeature. A failed write is tried again at the next ``write``."""

    name = "node-feature"

    def __init__(  # noqa: PLR0913 - whose object, what is in it, and when
        self,
        client: Client,
        node: str,
        namespace: str,
        *,
        product: bool = False,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``draw`` spreads the refreshes of many nodes, with numbers from [0, 1)."""
        self._client = client
        self._node = node
        self._namespace = namespace
        self._product = product
        self._refresh = Refresh(clock, draw)

    def write(self, observation: Observation) -> None:
        """Apply the object if it is due.

        Raises:
            ApiError: it was not written: ``NotFound`` where there is no such Node, no namespace or no NFD.
        """
        content = spec(observation.topology, observation.derived, product=self._product)
        if not self._refresh.called_for(content):
            return
        body = msgspec.json.encode(document(self._namespace, self._node, node_uid(self._client, self._node), content))
        self._client.apply(path(self._namespace, self._node), body, manager=AGENT)
        self._refresh.written(content)


def _node(node: NodeTopology, derived: Derived) -> Elements:
    groups = derived.nvlink_groups
    lacking = [gpu_nvlink_degraded(health) for health in derived.health.gpus.values()]
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
            "nvlinkDegraded": None if None in lacking else lacking.count(True),
            "rails": len(derived.rails),
            "gpudirect": derived.gpudirect,
            "complete": derived.complete,
            "ready": derived.health.ready,
        }
    )


def _gpu(gpu: Gpu, derived: Derived, verdict: Verdict) -> Elements:
    nearest = derived.nearest_nics[gpu.index]
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
            "nvlinkDegraded": gpu_nvlink_degraded(derived.health.gpus[gpu.index]),
            "nvlinkDomain": gpu_domain(gpu.fabric),
            "fabric": verdict,
            "nicLevel": None if nearest.level is None else nearest.level.name,
            "nics": ",".join(nearest.nics) if nearest.level != Locality.SYS else None,
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
    pairs = (pair for pair in derived.gpu_pairs if pair.a in group and pair.b in group)
    links = [pair.nvlinks for pair in pairs if pair.nvlinks is not None]
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
