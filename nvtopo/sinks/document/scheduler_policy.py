"""Scheduler policy from a node's labels: terms that select nodes at least as good as that one.

Required terms hold what a job needs: as many GPUs with at least as wide NVLink. Preferred terms hold what makes it
faster: NICs as near, NUMA alignment. Missing and bad labels give no term.
"""

from collections.abc import Mapping
from typing import Final

from nvtopo.model.conclusions.features import PREFIX
from nvtopo.model.conclusions.locality import Locality

Term = dict[str, object]
Labels = Mapping[str, str]

PROFILE: Final = "nvtopo"
"""``schedulerName`` of pods that want the policy."""
_CONFIG: Final = "kubescheduler.config.k8s.io/v1"
_JOB_NAME: Final = "batch.kubernetes.io/job-name"
_JOB_UID: Final = "batch.kubernetes.io/controller-uid"

#: Labels with numbers where more is at least as good.
_AT_LEAST: Final = ("gpu.count", "nvlink.group-size", "nvlink.links-per-gpu")
#: Labels that are ``true`` on a good node.
_GOOD: Final = ("nvlink.full-mesh",)
#: Preferred labels → weight.
_PREFERRED: Final = {"numa.gpu-aligned": 20, "ready": 50}


def affinity(labels: Labels) -> Term:
    """``spec.affinity`` of a pod."""
    found: Term = {"nodeAffinity": node_affinity(labels)}
    if _int(labels, "nvlink.groups"):
        found["podAffinity"] = {"preferredDuringSchedulingIgnoredDuringExecution": [_same_domain()]}
    return found


def node_affinity(labels: Labels) -> Term:
    """Nodes like the one with these labels."""
    found: Term = {}
    if required := _required(labels):
        terms = [{"matchExpressions": required}]
        found["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if preferred := _preferred(labels):
        found["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    return found


def scheduler_configuration(labels: Labels) -> Term:
    """A ``KubeSchedulerConfiguration`` with the default profile and a second one that has the policy."""
    config = [
        _plugin("NodeAffinity", {"addedAffinity": node_affinity(labels)}),
        _plugin("NodeResourcesFit", {"scoringStrategy": _packed()}),
    ]
    return {
        "apiVersion": _CONFIG,
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": PROFILE, "pluginConfig": config}],
    }


def _required(labels: Labels) -> list[Term]:
    found = [
        _expression(name, "Gt", str(number - 1))
        for name in _AT_LEAST
        if (number := _int(labels, name)) is not None and number
    ]
    return found + [_expression(name, "In", "true") for name in _GOOD if labels.get(PREFIX + name) == "true"]


def _preferred(labels: Labels) -> list[Term]:
    found = [
        _weighed(weight, _expression(name, "In", "true"))
        for name, weight in _PREFERRED.items()
        if labels.get(PREFIX + name) == "true"
    ]
    level = labels.get(PREFIX + "nic.gpu-locality", Locality.SYS.name)
    if level != Locality.SYS.name:
        near = [one.name for one in Locality if Locality.PIX <= one <= Locality[level]]
        found.append(_weighed(30, _expression("nic.gpu-locality", "In", *near)))
    return found


def _same_domain() -> Term:
    """Prefer the NVLink domain of the other pods of the same Job."""
    return {
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": PREFIX + "nvlink.domain",
            "labelSelector": {"matchExpressions": [{"key": _JOB_UID, "operator": "Exists"}]},
            "matchLabelKeys": [_JOB_NAME],
        },
    }


def _packed() -> Term:
    """Fill nodes whose GPUs are partly allocated, so that free nodes stay free."""
    resources = [{"name": "nvidia.com/gpu", "weight": 10}, {"name": "cpu", "weight": 1}]
    return {"type": "MostAllocated", "resources": resources}


def _plugin(name: str, arguments: Term) -> Term:
    return {"name": name, "args": {"apiVersion": _CONFIG, "kind": f"{name}Args", **arguments}}


def _weighed(weight: int, expression: Term) -> Term:
    return {"weight": weight, "preference": {"matchExpressions": [expression]}}


def _expression(name: str, operator: str, *values: str) -> Term:
    return {"key": PREFIX + name, "operator": operator, "values": list(values)}


def _int(labels: Labels, name: str) -> int | None:
    value = labels.get(PREFIX + name)
    return None if value is None else int(value)
