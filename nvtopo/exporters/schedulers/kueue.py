"""Kueue: a ``Topology``, coarse to fine, and a ResourceFlavor that uses it.

The lowest level is the hostname label, so levels may be changed later. Kueue orders domains by their label values, so
names are padded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.schedulers.view import HOSTNAME, LABELS, LEVELS_LABEL, View, levels

API_VERSION = "kueue.x-k8s.io/v1beta2"


def documents(view: View, name: str, selector: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """The two objects; in a cluster of several shapes, two for each. ``selector`` are labels of the flavors' nodes.

    Kueue passes over a node that lacks the label of one level, so each set of tiers has a Topology of its own.
    """
    nodes = dict(selector) or {"nvtopo.io/ready": "true"}
    first, *others = view.shapes or ((),)
    return [
        *_pair(first, name, nodes),
        *(one for tiers in others for one in _pair(tiers, object_name(name, levels(tiers)), nodes)),
    ]


def _pair(tiers: tuple[str, ...], name: str, selector: dict[str, str]) -> list[dict[str, Any]]:
    keys = [*(LABELS[tier] for tier in reversed(tiers)), HOSTNAME]
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "Topology",
            "metadata": {"name": name},
            "spec": {"levels": [{"nodeLabel": key} for key in keys]},
        },
        {
            "apiVersion": API_VERSION,
            "kind": "ResourceFlavor",
            "metadata": {"name": name},
            "spec": {
                "nodeLabels": selector | ({LEVELS_LABEL: levels(tiers)} if tiers else {}),
                "topologyName": name,
            },
        },
    ]
