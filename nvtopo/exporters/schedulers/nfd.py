"""Our own labels of tiers, one NodeFeature for each node: what Kueue's, KAI's and Grove's objects name."""

from collections.abc import Mapping
from typing import Any

from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.schedulers.view import LABELS, LEVELS_LABEL, View, levels
from nvtopo.model.conclusions.features import is_legal
from nvtopo.model.formats.object_name import is_subdomain


def labels(view: View, node: str) -> dict[str, str]:
    """The labels of a node: tiers that nobody knows are absent."""
    own = {tier: view.of[node][tier] for tier in view.tiers if tier in view.of[node]}
    found = {LABELS[tier]: value for tier, value in own.items()}
    return found | ({LEVELS_LABEL: levels(tuple(own))} if own else {})


def documents(view: View, namespace: str) -> list[dict[str, Any]]:
    """The NodeFeatures."""
    return node_features("nvtopo-topology", namespace, {node: labels(view, node) for node in view.nodes})


def node_features(prefix: str, namespace: str, labelled: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """One NodeFeature, named by ``prefix`` and the node, for each node that has labels: node → labels.

    Node Feature Discovery names the node in a label, so one of more than 63 characters has none.
    """
    return [
        {
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
            "kind": "NodeFeature",
            "metadata": {
                "name": object_name(prefix, node),
                "namespace": namespace,
                "labels": {"nfd.node.kubernetes.io/node-name": node},
            },
            "spec": {"labels": dict(found)},
        }
        for node, found in labelled.items()
        if found and is_subdomain(node) and is_legal(node)
    ]
