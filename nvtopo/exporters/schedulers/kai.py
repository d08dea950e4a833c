"""KAI: a ``Topology``, coarse to fine, with our words as aliases."""

from typing import Any

from nvtopo.exporters.schedulers.view import HOSTNAME, LABELS, View


def documents(view: View, name: str) -> list[dict[str, Any]]:
    """The Kubernetes object."""
    levels = [{"nodeLabel": LABELS[tier]} for tier in reversed(view.tiers)]
    return [
        {
            "apiVersion": "kai.scheduler/v1alpha1",
            "kind": "Topology",
            "metadata": {"name": name},
            "spec": {"levels": [*levels, {"nodeLabel": HOSTNAME}]},
        }
    ]
