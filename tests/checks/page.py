"""``docs/checks.md``: every check, from the tables in the code."""

import re
from collections.abc import Iterable
from typing import Final

from nvtopo.checks import active, capacity, cluster, measured, table
from nvtopo.checks.workload import MATTERS
from nvtopo.findings import of_health
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions.health_kinds import Code

_HEAD: Final = """# Checks of `nvtopo doctor`

`make golden` writes this page from the tables in the code, and a test keeps the two equal. An expected value with `…`
comes from the policy or from similar devices. What a check can't know is listed under `unknown` in the report, with the
reason. It is neither a pass nor a failure.

- Only a reason for which the label `nvtopo.io/ready` is `false` is **critical**. So the verdict `not-ready` and the
  label never differ.
- **warning**: jobs get less than they should. **info**: worth knowing; healthy machines have them too.
- If several values are possible, the few that differ from most are named. With no majority the finding is an info.

Exit codes: 0 ready, 1 not ready, 3 it can't be known. `--policy FILE` adds what an operator expects
(docs/operations.md), and `--write-policy` writes such a file from a good node. If no shape of the policy matches a
node, it can't be known whether it is ready. `--against FILE` lists what changed since a capture: driver, kernel,
firmware, links and all other facts. `--nodes FILE` compares labels and resources of Node objects, as `kubectl get nodes
-o json` prints them, with what the nodes show; `kubectl get nodes,net-attach-def -A -o json | nvtopo doctor --nodes -`
gives it NetworkAttachmentDefinitions too.

A shape of the policy may say what its machines are for, next to `match` and `expect`: `workload: batch`, `real-time` or
`streaming`. Some findings that are otherwise an info are a warning there:

{workloads}

`--sign KEY FILE` signs the bytes that are printed and writes the signature, in base64, to FILE. The key is a PEM of
`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` or `-algorithm ED25519`; it needs the package
`cryptography` (`pip install 'nvtopo[signing]'`). The signature is in the form of `cosign sign-blob` with such a key. To
verify it: `openssl base64 -d -A -in FILE -out raw`, then `openssl dgst -sha256 -verify PUBLIC -signature raw REPORT`.

Flow control, container runtime, CDI, IMEX, network mounts, GPUDirect Storage, interrupts, the kubelet's memory manager
and the hints of its device plugins are read by `doctor` and `capture` on the host, as root; the agent does not read
them. In a container without the host's processes and files they are not known.

`--format html` is one self-contained file, with the worst findings first and then the pictures.

![The report on a node with a link that is down, as Chromium shows it](doctor.png)

`monitoring/node-problem-detector/nvtopo-doctor.json` turns the result into a condition of the Node: put `nvtopo`
into the image of node-problem-detector, and give it the file as `--config.custom-plugin-monitor`. Exit code 3
leaves the condition unknown. `nfd-hooks/taint-not-ready.yaml` taints nodes that are not ready, and
`docs/recipes/doctor.yaml` is a Job that runs `doctor` once on each node.

`--server URL` asks an aggregator about all nodes: what their agents found, and what differs between them.

Series of `--format prometheus`: `nvtopo_doctor_ready{node}` (absent if it can't be known),
`nvtopo_doctor_findings{node,severity}`, `nvtopo_doctor_finding_info{node,id,severity,domain,subject}`,
`nvtopo_doctor_unknown{node}`.
"""
_NOT_TRIED: Final = "the other end does not answer, or the program is not installed"
_HEALTH: Final = "\n## Health of a node\n\nThese decide whether the node is ready.\n\n"
_NODE: Final = "\n## More about one node\n\n"
_MEASURED: Final = """
## What was measured

With `--measured FILE`, the output of nccl-tests, nvbandwidth, perftest or gdsio, also several runs in one file, or
the JSON of `fio --output-format=json` or `dcgmi diag -j`. Storage has no rate that the topology promises: only
errors are findings there, and the slowest rate is in the acceptance report. Two collectives with as many GPUs, one
near and one across a slower link (docs/recipes/pair), have their measured ratio compared with the predicted one. A
measurement is compared with the slowest link on the path that the topology knows: NVLink or PCIe between the GPUs
of a node or of an NVLink domain, else the rails of the nodes. `doctor` starts none of these itself; `--plan` prints
commands to copy, with what is expected of each. Runs on other nodes, small messages, and GPUs of which only some
pairs have NVLink are not compared. No measurement decides whether a node is ready. The readers follow what these
programs print; none was run on GPUs for this.

"""
_ACTIVE: Final = """
## Active tests

`doctor` runs only the tests that you ask for. It first prints on standard error what it sends, and for how long at
most.

- `nvtopo doctor --probe-mtu [NETDEV=]HOST` sends echo requests that may not be fragmented, of the network device's
  whole MTU and, if that is not answered, of smaller sizes. It needs `CAP_NET_RAW` or `net.ipv4.ping_group_range`.
- `nvtopo doctor --answer-rdma mlx5_0` on one node and `nvtopo doctor --probe-rdma mlx5_0=HOST` on another run the
  distribution's `ibv_rc_pingpong`: two hundred messages of 64 KiB to and fro, each compared with what was sent.
  `nvtopo doctor --probe-rdma mlx5_0` runs both ends on this node. GID index and RDMA MTU are those of the port.

No such test decides whether a node is ready.

"""
_CLUSTER: Final = """
## Many nodes

With `--from DIRECTORY`, in addition to the findings of `nvtopo graph` and of docs/drift.md. A node that does not
show a value is left out of the comparison and named under `unknown`.

`capacity` in the JSON says for each NVLink domain, rack and leaf with several nodes how large a gang it can hold when
nobody uses it, which nodes do not count, and why. Nodes count as for placement; with `--nodes`, those that are cordoned
or whose kubelet is not ready do not. Lost capacity in a leaf or rack, and nodes that are only cordoned, are an info.

"""


def document() -> str:
    """The page."""
    health = (
        (of_health.check(code), _severity(code), of_health.reads(code), _unknown(code)) for code in of_health.codes()
    )
    node = ((one.check, one.check.severity, one.reads, one.unknown_when) for one in table.CHECKS)
    many = [(one.check, one.check.severity, one.reads, "a node does not show it") for one in cluster.CHECKS]
    many.append((capacity.CHECK, capacity.CHECK.severity, capacity.READS, capacity.UNKNOWN_WHEN))
    runs = ((one, one.severity, "the file", "the link's rate or the nodes are not known") for one in measured.CHECKS)
    probes = ((one, one.severity, "the network", _NOT_TRIED) for one in active.CHECKS)
    tables = ((_HEALTH, health), (_NODE, node), (_CLUSTER, many), (_MEASURED, runs), (_ACTIVE, probes))
    rows = (f"- `{name}`: {', '.join(f'`{one}`' for one in sorted(ids)) or 'none'}" for name, ids in MATTERS.items())
    return _HEAD.replace("{workloads}", "\n".join(rows)) + "".join(
        f"{heading}{_table(rows)}" for heading, rows in tables
    )


def _severity(code: Code) -> str:
    return of_health.severity(code) or ("unknown: cannot know" if of_health.is_decisive(code) else "unknown")


def _unknown(code: Code) -> str:
    return "it is found" if of_health.severity(code) is None else "the node does not show it"


def _table(rows: Iterable[tuple[Check, str, str, str]]) -> str:
    lines = ["| id | severity | domain | expected | reads | not known if | do |\n|---|---|---|---|---|---|---|\n"]
    for check, severity, reads, unknown in rows:
        cells = (f"`{check.id}`", severity, check.domain, check.expected, reads, unknown, check.remedy)
        lines.append(f"| {' | '.join(map(_cell, cells))} |\n")
    return "".join(lines)


def _cell(text: str) -> str:
    return re.sub(r"\{\d\}", "…", text).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
