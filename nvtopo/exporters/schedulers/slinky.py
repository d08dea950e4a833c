"""Slinky: a ConfigMap with ``topology.yaml``, which the Slurm operator mounts."""

from typing import Any


def documents(name: str, topology_yaml: str) -> list[dict[str, Any]]:
    """The Kubernetes object."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"topology.yaml": topology_yaml},
        }
    ]
