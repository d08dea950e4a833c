"""What peers really write, small, as the beginning of each damage."""

import base64
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import h2.config
import h2.connection
import msgspec
from msgspec.structs import replace

from fixtures.synthesize import pod_resources as kubelet
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import document
from nvtopo.kube import allocations as kube_allocations
from nvtopo.kube import v1alpha1
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.allocation import Allocation, Held
from nvtopo.model.records.node import NodeTopology
from nvtopo.reports.bundle import Contents, made
from nvtopo.sinks.document import node as node_document
from nvtopo.sources.capture import parse_capture
from tests.dra.kubelet import CLASSES
from tests.fabrics.lldp_frames import frame

HOSTS: Final = Path(__file__).resolve().parents[2] / "fixtures" / "hosts"
_NAMES: Final = ("laptop-no-gpu", "t4-single-edge", "gh200-single")


@functools.cache
def captures() -> tuple[bytes, ...]:
    return tuple((HOSTS / name / "capture.json").read_bytes() for name in _NAMES)


@functools.cache
def node() -> NodeTopology:
    return assemble(parse_capture(captures()[2], "sample"))


def _object() -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(v1alpha1.spec_document("node-a", node(), "uid-1"))
    made["metadata"] |= {
        "uid": "7",
        "generation": 3,
        "resourceVersion": "42",
        "managedFields": [{"fieldsV1": {"f:spec": {"f:gpus": {}}}}],
    }
    made["status"] = {"gpus": 1, "conditions": [{"type": "Ready", "status": "True"}]}
    return made


@functools.cache
def resources() -> tuple[bytes, ...]:
    whole = node_document.node_yaml(node(), derive(node()))
    few = "kind: NodeTopology\nspec:\n  gpus: &g [{index: 0, uuid: G, name: L4}]\n  more: *g\n"
    return (msgspec.json.encode(_object()), few.encode(), whole.encode())


def expectations() -> Iterable[bytes]:
    text = (
        "shapes:\n  hgx:\n    match: {gpu: NVIDIA H100}\n    expect:\n      gpus: 8\n      mtuBytes: 9000\n"
        "      pcie: {width: 16, generation: 5}\n      versions: {driver: 580.105.08}\n"
    )
    return text.encode(), b'{"shapes":{"a":{"match":{"gpu":"x"},"expect":{"gpus":8,"versions":{"driver":"1"}}}}}'


@functools.cache
def graphs() -> tuple[bytes, ...]:
    listed = Listed({"node-a": node(), "node-b": node()})
    return (document.encode(document.of(build(fold(Inventory(), listed)))),)


def lists() -> Iterable[bytes]:
    other = _object() | {"spec": {"host": {"kernel": "6"}}}
    other["metadata"] = {"name": "node-b"}
    return (msgspec.json.encode({"kind": "List", "metadata": {"resourceVersion": "5"}, "items": [other, _object()]}),)


def watches() -> Iterable[bytes]:
    lines = [
        {"type": "ADDED", "object": _object()},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "43"}}},
        {"type": "DELETED", "object": _object()},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old", "reason": "Gone"}},
    ]
    return (b"".join(msgspec.json.encode(line) + b"\n" for line in lines),)


def _pod() -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    return {
        "metadata": {"name": "nvtopo-x", "uid": "1", "resourceVersion": "9", "labels": {"a": "b"}},
        "spec": {"nodeName": "node-a", "containers": [{"name": "agent"}]},
        "status": {"phase": "Running", "conditions": [ready]},
    }


def pod_lists() -> Iterable[bytes]:
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": [_pod(), _pod()]}),)


def pod_watches() -> Iterable[bytes]:
    return (b"".join(msgspec.json.encode({"type": kind, "object": _pod()}) + b"\n" for kind in ("ADDED", "DELETED")),)


def allocations() -> Iterable[bytes]:
    held = Held(namespace="jobs", pod="a", container="c", gpus=(0, 1), nics=("mlx5_0",), resources=("rdma/ib",))
    whole = Allocation(containers=(held, replace(held, unidentified=("MIG-1",))))
    items = [msgspec.Raw(kube_allocations.document(name, whole, "uid-1")) for name in ("node-a", "node-b")]
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": items}),)


def slices() -> Iterable[bytes]:
    attributes = {"uuid": {"string": "GPU-1"}, "resource.kubernetes.io/numaNode": {"int": 1}, "shared": {"bool": True}}
    device = {"name": "gpu-0", "attributes": attributes, "taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.nvidia.com", "nodeName": "node-a", "pool": pool, "devices": [device, {"name": "gpu-1"}]}
    item = {"metadata": {"name": "s", "resourceVersion": "5"}, "spec": spec}
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": [item]}),)


def resource_claims() -> Iterable[bytes]:
    results = [{"request": "t0", "driver": "topo.nvtopo.io", "pool": "node-a/gpus", "device": "gpu-0"}]
    status = {"allocation": {"devices": {"results": results}}}
    return (msgspec.json.encode({"metadata": {"name": "one", "uid": "uid-1"}, "status": status}),)


def plugin_requests() -> Iterable[bytes]:
    """``NodePrepareResourcesRequest``."""
    claims = [CLASSES["Claim"](namespace="team", name=name, uid=name) for name in ("one", "two")]
    return (CLASSES["Claims"](claims=claims).SerializeToString(),)


def refusals() -> Iterable[bytes]:
    status = {"kind": "Status", "code": 409, "reason": "Conflict", "message": "the object has been modified"}
    return (b"7\n" + msgspec.json.encode(status), b"Wed, 21 Oct 2026 07:28:00 GMT\n<html>502</html>", b"-1\n{}")


def applied() -> Iterable[bytes]:
    return (msgspec.json.encode(_object()),)


def standings() -> Iterable[bytes]:
    expected = {"accepted": {"gpus": 8, "pcie": {"width": 16}}, "learned": {"rails": 8, "versions": {"kernel": "6"}}}
    return (msgspec.json.encode(_object() | {"status": {"gpus": 8, "expected": expected}}),)


def nodes() -> Iterable[bytes]:
    return (b'{"kind":"Node","metadata":{"name":"node-a","uid":"8-4","labels":{"a":"b"}},"spec":{}}',)


def node_lists() -> Iterable[bytes]:
    network = (
        b'{"kind":"NetworkAttachmentDefinition","metadata":{"name":"a","namespace":"b","annotations":'
        b'{"k8s.v1.cni.cncf.io/resourceName":"c/d"}},"spec":{"config":"{\\"plugins\\":[{\\"type\\":\\"macvlan\\",'
        b'\\"master\\":\\"eth0\\",\\"mtu\\":9000}]}"}}'
    )
    return (*nodes(), b'{"kind":"List","items":[%s,%s]}' % (*nodes(), network))


def leases() -> Iterable[bytes]:
    spec = {
        "holderIdentity": "a-1", "leaseDurationSeconds": 15, "acquireTime": "2026-01-02T03:04:05.000000Z",
        "renewTime": "2026-01-02T03:04:05.000000Z", "leaseTransitions": 3,
    }  # fmt: skip
    return (msgspec.json.encode({"metadata": {"name": "l", "resourceVersion": "4"}, "spec": spec}),)


def reviews() -> Iterable[bytes]:
    user = {"username": "system:serviceaccount:a:b", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}
    status = {"authenticated": True, "user": user, "audiences": ["nvtopo"], "allowed": True}
    return (msgspec.json.encode({"kind": "TokenReview", "spec": {"token": "t"}, "status": status}),)


def claims() -> Iterable[bytes]:
    return (
        b'{"exp":1767322000,"aud":["nvtopo"],"iss":"k","kubernetes.io":{"namespace":"a"}}',
        b'{"aud":"x","exp":1.5}',
    )


def tokens() -> Iterable[bytes]:
    return tuple(b"Bearer a." + base64.urlsafe_b64encode(one).rstrip(b"=") + b".c" for one in claims())


def pod_resources() -> Iterable[bytes]:
    return (
        kubelet.encoded(),
        kubelet.allocatable(
            {"resource_name": "nvidia.com/gpu", "device_ids": ["GPU-a"], "topology": {"nodes": [{"ID": 1}]}}
        ),
    )


@functools.cache
def grpc_answers() -> tuple[bytes, ...]:
    """What a server of h2's writes."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "localhost")])
    client.end_stream(1)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    message = kubelet.encoded()[:300]
    server.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message)
    server.send_headers(1, [("grpc-status", "0"), ("grpc-message", "fine")], end_stream=True)
    return (server.data_to_send(),)


def kubelet_files() -> Iterable[bytes]:
    return (
        b'{"policyName":"static","defaultCpuSet":"0-3","checksum":14}',
        b'{"kind":"KubeletConfiguration","topologyManagerPolicy":"single-numa-node","cpuManagerPolicy":"static"}',
        b"kind: KubeletConfiguration\ntopologyManagerPolicy: restricted\n",
        (
            b'{"policyName":"Static","machineState":{"0":{"memoryMap":{"memory":{"total":9,"systemReserved":1,'
            b'"allocatable":8}}}}}'
        ),
        (
            b'{"kubeReserved":{"memory":"1Gi"},"evictionHard":{"memory.available":"5%"},'
            b'"reservedMemory":[{"numaNode":0,"limits":{"memory":"1.5Gi"}}]}'
        ),
        b'{"Data":{"PodDeviceEntries":[{"PodUID":"a","ResourceName":"nvidia.com/gpu"}]},"Checksum":1}',
        b'{"Data":"{\\"ClaimInfoStateList\\":[{\\"PodUIDs\\":{\\"a\\":{}},\\"DriverState\\":{\\"gpu\\":{}}}]}","Checksum":1}',
    )


def cdi_specs() -> Iterable[bytes]:
    return (
        b'{"kind":"nvidia.com/gpu","devices":[{"name":"0","containerEdits":{"deviceNodes":[{"path":"/dev/a"}]}}]}',
        b"kind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n",
    )


def bundles() -> Iterable[bytes]:
    return (made(Contents({}, {"node-a": {"capture": 1}}), "1").content,)


def nvml_answers() -> Iterable[bytes]:
    capture: dict[str, Any] = msgspec.json.decode(captures()[2])
    return (
        msgspec.json.encode(
            {"facts": capture["nvml"], "problems": [{"source": "nvml", "subject": "GPU0", "reason": "x"}]}
        ),
    )


def nvml_counters() -> Iterable[bytes]:
    return (b'{"gpus":[{"index":0,"uuid":"GPU-0","at":5.5,"temperatureCelsius":40.0}],"lost":1}', b'{"driver":"hangs"}')


def nvml_events() -> Iterable[bytes]:
    return (
        b'{"gpus":8}\n{}\n{"event":{"kind":"xid","xid":79,"gpu":"GPU-0","pciBusID":"0000:1b:00.0"}}\n{"driver":"gone"}',
    )


def devices() -> Iterable[bytes]:
    vital = b"\x82\x04\x00card\x90\x10\x00PN\x03abcV3\x05serialRV\x00\x78"
    space = bytes(256) + (0x0001000D | 0x1A0 << 20).to_bytes(4, "little") + bytes(156) + b"\x0f\x00\x01\x00" + bytes(40)
    return vital, space


def placements() -> Iterable[bytes]:
    text = (
        "kind: PlacementRequest\nmetadata: {name: job}\nspec:\n  pods: 4\n  gpusPerPod: 8\n"
        "  preferred: leaf\n  links:\n    leaf: {gigabytesPerSecond: 50.5, latencyNanoseconds: 3000}\n"
    )
    return text.encode(), b'{"kind":"PlacementRequest","spec":{"pods":4,"gpusPerPod":8,"nodeSelector":{"a":"b"}}}'


def deployments() -> Iterable[bytes]:
    text = (
        "kind: InferenceDeployment\nmetadata: {name: d}\nspec:\n  model: {name: m}\n  parallelism: {tensor: 8, pp: 2}\n"
        "  topology: {affinity: same-nvlink-domain}\n  autoscaling: {minReplicas: 1, maxReplicas: 3, metrics: [a]}\n"
    )
    return text.encode(), b'{"kind":"InferenceDeployment","spec":{"tp":4,"antiAffinity":"spread-across-racks"}}'


def links() -> Iterable[bytes]:
    return (b'{"leaf":{"latencyNanoseconds":14000.0,"gigabytesPerSecond":40.0}}',)


def fleets() -> Iterable[bytes]:
    return (msgspec.json.encode({"kind": "List", "items": [_object(), _object()]}), *resources())


def fabrics() -> Iterable[bytes]:
    switch = (
        'Switch\t40 "S-b83fd20300aa0001"\t\t# "MF0;leaf-1:MQM9700/U1" enhanced port 0 lid 3 lmc 0\n'
        '[1]\t"H-946dae0300bb0001"[1](946dae0300bb0001) \t\t# "node-a mlx5_0" lid 7 4xNDR\n'
        '[2]\t"S-b83fd20300aa0002"[7]\t\t# "MF0;spine-1:MQM9700/U1" lid 9 4xNDR\n\n'
    )
    host = (
        'Ca\t1 "H-946dae0300bb0001"\t\t# "node-a mlx5_0"\n'
        '[1](946dae0300bb0001) \t"S-b83fd20300aa0001"[1]\t\t# lid 7 lmc 0 "MF0;leaf-1:MQM9700/U1" lid 3 4xNDR\n'
    )
    slurm = "SwitchName=leaf1 Nodes=node[1-4]\nSwitchName=s Switches=leaf1\nBlockName=b1 Nodes=node[1-4]\n"
    chassis = (
        "lldp.eth0.chassis.mac=02:00:00:00:00:01\nlldp.eth0.chassis.name=leaf-1\nlldp.eth0.chassis.Bridge.enabled=on\n"
    )
    keyvalue = f"lldp.eth0.via=LLDP\n{chassis}lldp.eth0.port.ifname=swp1\nlldp.eth0.port.descr=to-host\n"
    return (switch + host).encode(), slurm.encode(), keyvalue.encode()


def fabric_documents() -> Iterable[bytes]:
    member = {"type": "Node", "selector": {"exactMatch": {"name": "node-a"}}}
    hyper = {"kind": "HyperNode", "metadata": {"name": "s0"}, "spec": {"tier": 1, "members": [member]}}
    labels = {"network.topology.nvidia.com/leaf": "l1", "nvidia.com/gpu.clique": "a.0"}
    node = {"kind": "Node", "metadata": {"name": "node-a", "labels": labels}}
    neighbour = {
        "chassis": {"leaf-1": {"id": {"type": "mac", "value": "b8:3f:d2:00:00:01"}}},
        "port": {"id": {"value": "e1"}},
    }
    lldp = {"lldp": {"interface": [{"eth0": neighbour | {"via": "LLDP"}}]}}
    slurm = "- topology: t1\n  cluster_default: true\n  tree:\n    switches:\n    - {switch: s1, nodes: 'node[1-4]'}\n"
    return (msgspec.json.encode({"kind": "List", "items": [hyper, node]}), msgspec.json.encode(lldp), slurm.encode())


def lldp_frames() -> list[bytes]:
    """As a switch sends them: every kind of value."""
    return [frame(port_kind=kind) for kind in range(1, 8)]
