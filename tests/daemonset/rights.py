"""What each account may do, each with its reason; `docs/security.md` says the same in words."""

from typing import Final, NamedTuple

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "escalate")
NAMESPACES: Final = ("default", "nvtopo", "node-feature-discovery", "kube-system")
"""Where rights within a namespace are asked for."""
_LEASES: Final = "coordination.k8s.io"


class Right(NamedTuple):
    group: str
    resource: str
    verb: str
    namespace: str = ""
    """Empty: the resource has none."""
    name: str = ""
    """Empty: any."""


AGENT: Final = frozenset(
    {
        Right("", "nodes", "get"),  # its Node's uid, for the owner reference
        Right("nvtopo.io", "nodetopologies", "create"),  # server-side apply where there is none yet
        Right("nvtopo.io", "nodetopologies", "patch"),  # server-side apply
        # What changed, in words; admission.yaml holds it to its own Node and to the namespace default.
        *(Right("events.k8s.io", "events", "create", namespace) for namespace in NAMESPACES),
        *(Right("events.k8s.io", "events", "patch", namespace) for namespace in NAMESPACES),
        # With the component node-feature, which the tests apply:
        *(Right("nfd.k8s-sigs.io", "nodefeatures", verb, "nvtopo") for verb in ("create", "patch")),
    }
)
AGGREGATOR: Final = frozenset(
    {
        *(Right("nvtopo.io", "nodetopologies", verb) for verb in ("list", "watch")),
        Right("authentication.k8s.io", "tokenreviews", "create"),  # whose token a caller of its API shows
        Right("authorization.k8s.io", "subjectaccessreviews", "create"),  # and what its holder may read
        Right("nvtopo.io", "nodetopologies/status", "patch"),
        Right(_LEASES, "leases", "get", "nvtopo", "nvtopo-aggregator"),
        Right(_LEASES, "leases", "update", "nvtopo", "nvtopo-aggregator"),
        Right(_LEASES, "leases", "create", "nvtopo"),
    }
)
#: What Kubernetes itself gives to everybody who is authenticated (`system:basic-user`).
EVERYBODY: Final = frozenset(
    {
        Right("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        Right("authorization.k8s.io", "selfsubjectrulesreviews", "create"),
        Right("authentication.k8s.io", "selfsubjectreviews", "create"),
    }
)
