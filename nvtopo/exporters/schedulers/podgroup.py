"""Kubernetes' own gangs: an example ``PodGroup`` of the workload API that keeps a gang in one domain of a tier.

The API takes one required label key, and has no object for the topology itself.
"""

from typing import Any, Final

from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.schedulers.view import LABELS, View, levels

#: Kubernetes 1.36; what 1.37 serves is printed too, and can't be checked against a 1.36 server.
API_VERSION: Final = "scheduling.k8s.io/v1alpha2"
NEXT_API_VERSION: Final = "scheduling.k8s.io/v1beta1"


def documents(view: View, name: str, api_version: str = API_VERSION) -> list[dict[str, Any]]:
    """One for each tier; ``minCount`` is the most nodes that one domain of it has."""
    return [
        {
            "apiVersion": api_version,
            "kind": "PodGroup",
            "metadata": {"name": object_name(name, levels((tier,)))},
            "spec": {
                "schedulingPolicy": {"gang": {"minCount": max(len(place.nodes) for place in view.places[tier])}},
                "schedulingConstraints": {"topology": [{"key": LABELS[tier]}]},
            },
        }
        for tier in view.tiers
    ]
