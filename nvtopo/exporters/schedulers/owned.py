"""Exported objects that nvtopo keeps applied: where they are, how they are marked, and whether they are as wanted."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

KIND_LABEL: Final = "nvtopo.io/export"
"""On each object of ours: the kind of export."""
OWNER_ANNOTATION: Final = "nvtopo.io/export-owner"
"""Which nvtopo it belongs to: ``namespace/name``. Another one's objects are left alone."""
#: A GitOps controller that finds them in a namespace or application of its own leaves them alone.
_KEEP: Final[Mapping[str, str]] = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}


ANY_VERSION: Final = "*"
"""Of a group: the version that the API server serves, newest first."""


class Collection(NamedTuple):
    """A kind of object of the API server."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = False

    def path(self, namespace: str) -> str:
        """Where its objects are."""
        group = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        return f"{group}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{group}/{self.plural}"


_NODE_FEATURES: Final = Collection("nfd.k8s-sigs.io/v1alpha1", "NodeFeature", "nodefeatures", namespaced=True)
#: Kind of export → its objects' kinds. Those that are not here are printed only.
COLLECTIONS: Final[Mapping[str, tuple[Collection, ...]]] = {
    "kueue": (
        Collection("kueue.x-k8s.io/v1beta2", "Topology", "topologies"),
        Collection("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "resourceflavors"),
    ),
    "volcano": (Collection("topology.volcano.sh/v1alpha1", "HyperNode", "hypernodes"),),
    "kai": (Collection("kai.scheduler/v1alpha1", "Topology", "topologies"),),
    "grove": (Collection("grove.io/v1alpha1", "ClusterTopologyBinding", "clustertopologybindings"),),
    "koordinator": (
        Collection("scheduling.koordinator.sh/v1alpha1", "ClusterNetworkTopology", "clusternetworktopologies"),
    ),
    "slinky": (Collection("v1", "ConfigMap", "configmaps", namespaced=True),),
    "nfd": (_NODE_FEATURES,),
    "topograph": (_NODE_FEATURES,),
    "koordinator-device": (Collection("scheduling.koordinator.sh/v1alpha1", "Device", "devices"),),
    "nrt": (Collection("topology.node.k8s.io/v1alpha2", "NodeResourceTopology", "noderesourcetopologies"),),
    "dra": (
        Collection("resource.k8s.io/v1", "DeviceClass", "deviceclasses"),
        Collection("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates", namespaced=True),
    ),
    "dra-domains": (Collection("resource.k8s.io/v1", "ResourceSlice", "resourceslices"),),
    "dra-taints": (Collection(f"resource.k8s.io/{ANY_VERSION}", "DeviceTaintRule", "devicetaintrules"),),
}


class Owner(NamedTuple):
    """Whose objects they are."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def selector(kind: str) -> str:
    """The label selector of a kind's objects."""
    return f"{KIND_LABEL}={kind}"


def marked(
    documents: Iterable[Mapping[str, Any]], kind: str, owner: Owner, collections: Iterable[Collection] | None = None
) -> dict[str, dict[str, Any]]:
    """Path → the object as it is applied. ``collections`` are those of the kind, in the versions that are served."""
    found: dict[str, dict[str, Any]] = {}
    of_kind = {one.kind: one for one in collections or COLLECTIONS[kind]}
    for document in documents:
        collection = of_kind[document["kind"]]
        metadata = dict(document["metadata"])
        if collection.namespaced:
            metadata["namespace"] = owner.namespace
        metadata["labels"] = {**metadata.get("labels", {}), KIND_LABEL: kind}
        metadata["annotations"] = {**_KEEP, OWNER_ANNOTATION: str(owner)}
        found[f"{collection.path(owner.namespace)}/{metadata['name']}"] = {
            **document,
            "apiVersion": collection.api_version,
            "metadata": metadata,
        }
    return found


def is_ours(found: Mapping[str, Any], kind: str, owner: Owner) -> bool:
    """Whether an object is of this kind of export, and of this nvtopo."""
    metadata = _members(found, "metadata")
    labels, annotations = _members(metadata, "labels"), _members(metadata, "annotations")
    return labels.get(KIND_LABEL) == kind and annotations.get(OWNER_ANNOTATION) == str(owner)


def _members(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, Mapping) else {}


def has(found: Any, wanted: Any) -> bool:
    """Whether an object has all that is wanted; the server adds to it, and lists are wanted as they are."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(has(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(has, found, wanted))
    return bool(found == wanted)
