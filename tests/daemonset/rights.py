"""What each account may do, each with its reason; `docs/security.md` says the same in words."""

from typing import Final, NamedTuple

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "escalate")
NAMESPACES: Final = ("default", "nvtopo", "node-feature-discovery", "kube-system")
"""Where rights within a namespace are asked for."""
_LEASES: Final = "coordination.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_POLICIES: Final = tuple(
    (kind, name) for kind in ("policies", "policybindings") for name in ("nvtopo-agent", "nvtopo-agent-events")
)


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
        # With the component allocations, likewise: server-side apply of its own node's.
        *(Right("nvtopo.io", "nodeallocations", verb) for verb in ("create", "patch")),
    }
)
AGGREGATOR: Final = frozenset(
    {
        *(Right("nvtopo.io", "nodetopologies", verb) for verb in ("list", "watch")),
        Right("authentication.k8s.io", "tokenreviews", "create"),  # whose token a caller of its API shows
        Right("authorization.k8s.io", "subjectaccessreviews", "create"),  # and what its holder may read
        Right("nvtopo.io", "nodetopologies/status", "patch"),
        # With the component allocations: no gang is placed on GPUs that pods hold.
        *(Right("nvtopo.io", "nodeallocations", verb) for verb in ("list", "watch")),
        # With the component resource-slices: what DRA drivers publish, compared with what the nodes see.
        *(Right("resource.k8s.io", "resourceslices", verb) for verb in ("list", "watch")),
        Right(_LEASES, "leases", "get", "nvtopo", "nvtopo-aggregator"),
        Right(_LEASES, "leases", "update", "nvtopo", "nvtopo-aggregator"),
        Right(_LEASES, "leases", "create", "nvtopo"),
        # Which gang holds which GPUs.
        *(Right("", "configmaps", verb, "nvtopo", "nvtopo-reservations") for verb in ("get", "update")),
        Right("", "configmaps", "create", "nvtopo"),
        *(Right("", "pods", verb, "nvtopo") for verb in ("list", "watch")),  # which agents live
        Right("", "nodes", "list"),  # which are cordoned: they drift in nothing
        # Drift that began or ended, in words; admission.yaml holds it to Nodes and to the namespace default.
        *(Right("events.k8s.io", "events", verb, each) for verb in ("create", "patch") for each in NAMESPACES),
        # Whether the policies that hold the agents to their own nodes are in force.
        *(Right(_ADMISSION, f"validatingadmission{kind}", "get", "", name) for kind, name in _POLICIES),
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
