"""What a sign of life costs at N nodes: the Ready condition of the agents' pods, or one Lease a node.

``python -m bench.sign_of_life [NODES]``. Objects are as an API server sends them, with managed fields. Times are this
process's CPU time for decoding and for the state machine; the API server's own work comes on top of each write.
"""

import json
import sys
import time
from typing import Any, Final

import msgspec

from nvtopo.cluster import silence
from nvtopo.cluster.silence import Moment, PodSeen, PodsListed, Silence
from nvtopo.kube.agent_pods import decode_agent
from nvtopo.kube.v1alpha1 import Head

RENEWAL_SECONDS: Final = 30
"""Between renewals of a Lease: two may be lost before 90 s are over."""
REPLICAS: Final = 2
_ROLL_OUT_UPDATES: Final = 6
"""Changes of a DaemonSet's pod from its creation until it is ready."""


def pod(number: int, *, ready: bool = True) -> bytes:
    """An agent's pod, about as large as with the manifest in daemonset/."""
    state = "True" if ready else "False"
    conditions: list[Any] = [
        {"type": kind, "status": state, "lastTransitionTime": "2027-01-15T08:00:00Z", "lastProbeTime": None}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    tolerations = [{"key": f"node.kubernetes.io/k{n}", "operator": "Exists", "effect": "NoExecute"} for n in range(7)]
    mounts = [{"name": f"host-{n}", "mountPath": f"/host/path/{n}", "readOnly": True} for n in range(9)]
    managed = [{"manager": "kubelet", "operation": "Update", "fieldsV1": {f"f:field-{n}": {} for n in range(90)}}]
    document = {
        "metadata": {"name": f"nvtopo-agent-{number:05}", "resourceVersion": str(number), "managedFields": managed},
        "spec": {"nodeName": f"node-{number}", "tolerations": tolerations, "containers": [{"volumeMounts": mounts}]},
        "status": {"conditions": conditions, "containerStatuses": [{"name": "agent", "imageID": "sha256:" + "0" * 64}]},
    }
    return json.dumps(document).encode()


def lease(number: int) -> bytes:
    """A node's Lease, as kubelets have them."""
    managed = [{"manager": "nvtopo", "operation": "Update", "fieldsV1": {f"f:field-{n}": {} for n in range(8)}}]
    document = {
        "metadata": {"name": f"node-{number}", "namespace": "nvtopo", "managedFields": managed, "uid": "0" * 36},
        "spec": {"holderIdentity": f"node-{number}", "renewTime": "2027-01-15T08:00:00.000000Z"},
    }
    return json.dumps(document).encode()


def of_pods(nodes: int) -> list[str]:
    """The cost of following pods, in lines."""
    pods = [pod(number) for number in range(nodes)]
    names = [f"node-{number}" for number in range(nodes)]
    began = time.process_time()
    listed = dict(decode_agent(msgspec.Raw(text)) for text in pods)
    state = silence.step(Silence(), PodsListed(listed), names, Moment(0, 0), 30)
    listing = time.process_time() - began
    began = time.process_time()
    silence.step(state, None, names, Moment(1, 1), 30)
    tick = time.process_time() - began
    began = time.process_time()
    silence.step(state, PodSeen(*decode_agent(msgspec.Raw(pod(0, ready=False)))), names, Moment(2, 2), 30)
    event = time.process_time() - began
    size = len(pods[0])
    return [
        f"pods, {nodes} nodes: at rest no write, 0 bytes/s of watch, {tick * 1e3:.1f} ms CPU a second for each replica",
        f"  once: a list of {nodes * size / 1e6:.0f} MB in {listing:.2f} s CPU; each change {event * 1e3:.1f} ms CPU",
        f"  a roll-out: {nodes * _ROLL_OUT_UPDATES * size / 1e6:.0f} MB of watch for each replica in all",
    ]


def of_leases(nodes: int) -> list[str]:
    """The cost of one Lease a node, in lines."""
    leases = [lease(number) for number in range(nodes)]
    began = time.process_time()
    for text in leases:
        msgspec.json.decode(text, type=Head)
    decoding = (time.process_time() - began) / RENEWAL_SECONDS
    rate, size = nodes / RENEWAL_SECONDS, len(leases[0])
    stored, watched = rate * size / 1e3, REPLICAS * rate * size / 1e3
    return [
        f"leases, {nodes} nodes, every {RENEWAL_SECONDS} s: {rate:.0f} writes/s, {stored:.0f} kB/s into the store",
        f"  {watched:.0f} kB/s of watch for {REPLICAS} replicas, {decoding * 1e3:.1f} ms/s CPU for each to decode",
    ]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("\n".join((*of_pods(count), *of_leases(count))))
