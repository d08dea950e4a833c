"""Several hosts in one input: each is told from the others, and chapters of one host are not taken for hosts."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from nvtopo.sources.foreign.recognise import read_hosts
from tests.foreign import samples
from tests.foreign.samples import matrix, switched

_ONE: Final = matrix(*switched(2, 1))
_OTHER: Final = matrix(*switched(4, 0, "NV12"))


def _before_each_line(form: str) -> Callable[[str, str], str]:
    return lambda host, text: "\n".join(form.format(host) + line for line in text.split("\n")) + "\n"


def _before_output(form: str) -> Callable[[str, str], str]:
    return lambda host, text: form.format(host) + "\n" + text + "\n"


WAYS: Final[dict[str, Callable[[str, str], str]]] = {
    "pdsh": _before_each_line("{}: "),
    "pods": _before_each_line("[pod/{}/agent] "),
    "syslog": _before_each_line("Nov  1 10:00:00 {} run[7]: "),
    "journal": _before_each_line("2025-11-01T10:00:00+0000 {} run[7]: "),
    "compose": _before_each_line("{}  | "),
    "ray": _before_each_line("(Worker pid=7, ip={}) "),
    "bracket": _before_each_line("[{}] "),
    "rule": _before_output("===== {} ====="),
    "heading": _before_output("## {}"),
    "title": _before_output("Host: {}"),
    "dshbak": _before_output("----------------\n{}\n----------------"),
    "ansible": _before_output("{} | CHANGED | rc=0 >>"),
    "prompt": _before_output("root@{}:~# nvidia-smi topo -m"),
    "prompt of RHEL": _before_output("[me@{} ~]$ nvidia-smi topo -m"),
    "log": _before_output("2025/05/21 09:40:05 {} nvidia-smi topo -m"),
    "ssh": _before_output("$ ssh {} nvidia-smi topo -m"),
    "name": _before_output("{}:"),
    "section": _before_output("[{}]"),
    "bold": _before_output("**{}:**"),
    "pod and node": _before_output("--- {} (10.0.0.7) ---"),
    "ansible's lines": _before_output("ok: [{}] => "),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("names", [("node-a", "node-b"), ("gpu017", "gpu018.cluster.local")])
def test_hosts_are_told_apart(way: str, names: tuple[str, str]) -> None:
    text = "".join(WAYS[way](name, output) for name, output in zip(names, (_ONE, _OTHER), strict=True))
    found = read_hosts(text.encode(), "input")
    assert [host.name for host in found] == list(names)
    assert [len(host.node.gpus) for host in found] == [2, 4]
    assert [host.node.problems for host in found] == [(), ()]


def test_lines_of_hosts_may_be_mixed() -> None:
    mine, theirs = (WAYS["pdsh"](name, _ONE).split("\n") for name in ("node1", "node2"))
    text = "\n".join(line for pair in zip(mine, theirs, strict=True) for line in pair)
    assert [(host.name, len(host.node.nics)) for host in read_hosts(text.encode(), "input")] == [
        ("node1", 1),
        ("node2", 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"--- topology\n{_ONE}\n--- nvlink\n{samples.nvlink().decode()}",
        f"## GPU\n{_ONE}\n## Network\n{samples.ibstat().decode()}",
        f"root@a:~# nvidia-smi topo -m\n{_ONE}\nroot@a:~# nvidia-smi nvlink -s\n{samples.nvlink().decode()}",
        f"node-a:\n{_ONE}\nnode-b:\nno output\n",
        _ONE,
    ],
    ids=["chapters", "headings", "one prompt", "one that says nothing", "none"],
)
def test_one_host_is_not_two(text: str) -> None:
    assert len(read_hosts(text.encode(), "input")) == 1


def test_prompts_of_two_hosts_are_two_hosts_whatever_they_print() -> None:
    text = f"me@a-1:~$ nvidia-smi topo -m\n{_ONE}\nme@b-2:~$ ibstat\n{samples.ibstat().decode()}"
    found = read_hosts(text.encode(), "input")
    assert [(host.name, len(host.node.gpus), len(host.node.nics)) for host in found] == [("a-1", 2, 1), ("b-2", 0, 2)]


@pytest.mark.parametrize("name", ["query-xml", "nccl", "hwloc", "query", "ibstat", "lspci", "nvlink", "table"])
def test_every_format_may_come_from_two_hosts(name: str) -> None:
    output = samples.SAMPLES[name]().decode()
    found = read_hosts(f"=== a-1 ===\n{output}\n=== b-2 ===\n{output}".encode(), "input")
    assert [host.name for host in found] == ["a-1", "b-2"]
    assert found[0].node == found[1].node == read_hosts(output.encode(), "input")[0].node


def test_a_json_document_of_hosts() -> None:
    text = json.dumps({"a-1": {"stdout": _ONE, "rc": 0}, "b-2": {"stdout": _OTHER, "rc": 0}})
    assert [(host.name, len(host.node.gpus)) for host in read_hosts(text.encode(), "input")] == [("a-1", 2), ("b-2", 4)]


def test_hosts_of_a_fused_nccl_topology() -> None:
    one = samples.nccl().decode()
    cpus = one[one.index("<cpu") : one.index("</system>")]
    text = f'<system version="1">{cpus}{cpus.replace("0x1", "0x2")}</system>'
    found = read_hosts(text.encode(), "input")
    assert [host.name for host in found] == ["0x1", "0x2"]
    assert found[0].node == found[1].node
    assert len(found[0].node.gpus) == 2
    assert found[0].node.problems == ()


def test_json_lines_of_several_hosts() -> None:
    text = "".join(
        json.dumps({"host": host, "message": line}) + "\n" for host in ("a-1", "b-2") for line in _ONE.split("\n")
    )
    assert [host.name for host in read_hosts(text.encode(), "input")] == ["a-1", "b-2"]
