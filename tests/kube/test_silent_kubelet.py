"""A node whose kubelet is dead: nobody probes its pods, and the node controller says so in their Ready condition."""

import json
from typing import Final

import msgspec

from nvtopo.cluster.silence import AgentPod, Moment, PodSeen, PodsListed, Silence, stale, step
from nvtopo.kube.agent_pods import decode_agent

UNIX: Final = 1_800_000_000.0
#: ``--stale-after``, and what the node controller waits for a kubelet by default (Kubernetes 1.32).
GRACE: Final = 30.0
NODE_MONITOR_GRACE: Final = 50.0
WITHIN: Final = 90.0
_AT: Final = "2027-01-15T08:00:50Z"


def _pod(ready: str) -> AgentPod:
    """A running pod as the API server has it; of a silent kubelet, only the condition ``Ready`` changes."""
    conditions = [
        {"type": "Initialized", "status": "True"},
        {"type": "ContainersReady", "status": "True"},
        {"type": "Ready", "status": ready, "lastTransitionTime": _AT},
        {"type": "PodScheduled", "status": "True"},
    ]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [{"name": "agent", "ready": True}]}
    document = {"metadata": {"name": "agent-a"}, "spec": {"nodeName": "a"}, "status": status}
    _, agent = decode_agent(msgspec.Raw(json.dumps(document).encode()))
    return agent


def test_a_node_whose_kubelet_is_dead_is_stale_within_90_seconds() -> None:
    state = step(Silence(), PodsListed({"agent-a": _pod("True")}), ["a"], Moment(0, UNIX), GRACE)
    marked = PodSeen("agent-a", _pod("False"))
    state = step(state, marked, ["a"], Moment(NODE_MONITOR_GRACE, UNIX + NODE_MONITOR_GRACE), GRACE)
    assert stale(state) == {}
    assert stale(step(state, None, ["a"], Moment(WITHIN, UNIX + WITHIN), GRACE)) == {"a": UNIX + NODE_MONITOR_GRACE}


def test_a_kubelet_that_comes_back_ends_it() -> None:
    state = step(Silence(), PodsListed({"agent-a": _pod("False")}), ["a"], Moment(0, UNIX + 500), GRACE)
    assert stale(state) != {}
    assert stale(step(state, PodSeen("agent-a", _pod("True")), ["a"], Moment(1, UNIX + 501), GRACE)) == {}
