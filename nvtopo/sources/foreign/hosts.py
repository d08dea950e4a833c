"""Several hosts in one input: told by what stands before each line (pdsh, pods, syslog), or by a line between outputs.

A line names a host where the outputs on both sides of it are of one kind: ``--- topology`` and ``--- nvlink`` are
chapters of one host, ``--- node-a`` and ``--- node-b`` before two matrices are hosts.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.sources.foreign.prefixes import Line

_NAME: Final = r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})"
_NUMBERED: Final = r"((?:node|host|server|machine|tray|worker|rank)[ _#-]{0,2}[0-9]{1,5})"
_TIME: Final = r"(?:\S{0,24}[0-9]{2}:[0-9]{2}:[0-9]{2}\S{0,16}|[0-9]{4}[-/][0-9]{2}[-/][0-9]{2})"
_TOOLS: Final = r"(?:nvidia-smi|ibstat|ibstatus|ibv_devinfo|lspci|numactl|rdma|show_gids|ibdev2netdev|lstopo)\b"
_HOSTWORD: Final = r"(?:host ?name|host|node ?name|node|server|machine|pod)"
#: Before a line: the host's name, however the tool that gathered the lines writes it.
_IN_PREFIX: Final = (
    re.compile(r"\bpod/([^/\]\s]{1,100})"),
    re.compile(rf"\b(?:ip|{_HOSTWORD})=([A-Za-z0-9._:-]{{1,100}})"),
    re.compile(rf"^[A-Z][a-z]{{2}} {{1,2}}[0-9]{{1,2}} [0-9:]{{8}} {_NAME} \S{{1,60}}: ?$"),
    re.compile(rf"^{_TIME} {_NAME} \S{{1,60}}\[[0-9]{{1,8}}\]: ?$"),
    re.compile(rf"^\s{{0,8}}{_NAME}\s{{0,40}}[:|]\s{{0,8}}$"),
    re.compile(rf"^\[{_NAME}\]\s{{0,8}}$"),
    re.compile(rf"^{_NAME} {_NAME} $"),
)
_DECORATION: Final = r"[=\-#*~+<>]{0,80}"
_REMOTELY: Final = r"(?:ssh|kubectl exec|srun -w|pdsh -w) (?:-\S{1,20} ){0,4}(?:[\w.-]{1,40}@)?"
_MARKUP: Final = r"[`*_]{0,3}"
#: A line of its own that can name nothing but a host: a title, Ansible, a prompt, a command after or for the host.
_HOST_BETWEEN: Final = (
    re.compile(rf"^\W{{0,8}}{_HOSTWORD}\s{{0,4}}[:=]\s{{0,4}}{_NAME}\W{{0,8}}$", re.IGNORECASE),
    re.compile(rf"^{_NAME} \| (?:CHANGED|SUCCESS|FAILED)\b"),
    re.compile(rf"^(?:ok|changed): \[{_NAME}\] =>"),
    re.compile(rf"^\[?(?:\([\w.-]{{1,40}}\) ?)?[\w.-]{{1,40}}@{_NAME}[:\s][^#$%]{{0,100}}[#$%](?:\s|$)"),
    re.compile(rf"^(?:{_TIME} ){{0,2}}{_NAME}:? (?:[$#] )?(?:sudo )?{_TOOLS}"),
    re.compile(rf"^(?:[$#+] ?){{0,2}}{_REMOTELY}{_NAME} .{{0,80}}?{_TOOLS}"),
)
#: A line of its own that can head a chapter too: decorated, a name alone.
_BETWEEN: Final = (
    re.compile(
        rf"^\W{{0,3}}(?:[=\-#*~+>]{{2,80}}|#)\s{{0,8}}(?:{_HOSTWORD}\b)?\s{{0,4}}[:=]?\s{{0,4}}{_MARKUP}"
        rf"(?:{_NUMBERED}|{_NAME}){_MARKUP}(?: \([^()]{{1,80}}\))?\s{{0,4}}:?\s{{0,8}}{_DECORATION}$",
        re.IGNORECASE,
    ),
    re.compile(rf"^{_MARKUP}(?:{_NUMBERED}|{_NAME})(?: \([^()]{{1,80}}\))?:{_MARKUP}$", re.IGNORECASE),
    re.compile(rf"^\[{_NAME}\]$"),
)
_RULE: Final = re.compile(r"-{5,100}")
#: Words that head a chapter; a host may have one in its name beside others (``gpu-node-3``).
_CHAPTERS: Final = re.compile(
    r"topo(?:logy)?|matrix|nvlink|nvidia|smi|legend|nics?|cpus?|pcie?|ib|rdma|system|info|log|output|end|start|begin"
    r"|affinity|driver|results?|gpus?|status|numa|lspci|ibstat(?:us)?|hca|network|summary|report|errors?|debug|warn(?:ing)?"
    r"|notice|stdout|stderr|trace|critical|sudo|run|cmd|command|the|of|and|details|env(?:ironment)?|versions?|hardware"
    r"|software|config(?:uration)?|before|after|interconnect|p2p|[a-z]"
)
#: ``GPU 0:`` heads what a tool says of a device; ``gpu017`` is a host.
_DEVICE: Final = re.compile(r"(?i:gpu|nic|cpu|nvlink)[-_ ]?[0-9]?|(?:GPU|NIC|CPU)[0-9]{1,4}|mlx[0-9]_.{1,40}")
#: The smallest output of a host: a header and two rows.
_FEWEST_LINES: Final = 3
_LONGEST: Final = 240


class HostLines(NamedTuple):
    """What one host printed; the name is empty where the input names none."""

    name: str
    lines: list[str]


def by_host(lines: list[Line]) -> list[HostLines]:
    """The lines of each host, in the order in which they come first."""
    named = _parted([(_in_prefix(line), line) for line in lines])
    if len(named) < 2:  # noqa: PLR2004 - one host is all there is
        named = _parted(list(_sections(lines, _HOST_BETWEEN)), surely=True)
    if len(named) < 2:  # noqa: PLR2004 - as above
        named = _parted(list(_sections(lines, (*_HOST_BETWEEN, *_BETWEEN))))
    if len(named) < 2:  # noqa: PLR2004 - as above
        return [HostLines("", [line.body for line in lines])]
    return [HostLines(name, [line.body for line in of_host]) for name, of_host in named.items()]


def _parted(said: list[tuple[str, Line]], *, surely: bool = False) -> dict[str, list[Line]]:
    """Host → its lines, if at least two have an output, of one kind where the names may be chapters.

    What no host said belongs to the first.
    """
    hosts: dict[str, list[Line]] = {name: [] for name, _ in said if name}
    if len(said) < _FEWEST_LINES * len(hosts):
        return {}  # numbers of lines
    first = next(iter(hosts), "")
    for name, line in said:
        if hosts:
            hosts[name or first].append(line)
    kinds = {name: {line.kind for line in lines} - {""} for name, lines in hosts.items()}
    common = Counter(kind for of_host in kinds.values() for kind in ({"any"} if surely and of_host else of_host))
    if not common or max(common.values()) < 2:  # noqa: PLR2004 - no kind of output comes from two
        return {}
    return {name: lines for name, lines in hosts.items() if kinds[name]}


def _in_prefix(line: Line) -> str:
    if line.kind == "nccl":  # NCCL writes the host's name itself
        return line.body.partition(":")[0]
    if not line.prefix.strip():
        return ""
    matches = (match for pattern in _IN_PREFIX for match in pattern.finditer(line.prefix))
    return next((name for match in matches if (name := _name(match))), "")


def _sections(lines: list[Line], patterns: tuple[re.Pattern[str], ...]) -> Iterator[tuple[str, Line]]:
    """Each line with the host that was named last before it."""
    host = ""
    for position, line in enumerate(lines):
        named = "" if line.kind else _between(line.body.strip()[:_LONGEST], patterns)
        if not named and position and _RULE.fullmatch(lines[position - 1].body.strip()):
            after = lines[position + 1].body.strip() if position + 1 < len(lines) else ""
            match = re.fullmatch(_NAME, line.body.strip()[:_LONGEST])
            named = _name(match) if match and _RULE.fullmatch(after) else ""
        host = named or host
        yield host, line


def _between(line: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    if len(line) < 2:  # noqa: PLR2004 - shorter than any name and its mark
        return ""
    return next((name for pattern in patterns if (match := pattern.match(line)) and (name := _name(match))), "")


def _name(match: re.Match[str]) -> str:
    """The host that was matched; empty where it is the name of a chapter or a level of a log."""
    name = next((group for group in match.groups() if group), "").strip().rstrip(".:-")
    words = [word for word in re.split(r"[^A-Za-z]+", name.lower()) if word]
    if words and all(_CHAPTERS.fullmatch(word) for word in words) and not any(letter.isdigit() for letter in name):
        return ""
    return "" if _DEVICE.fullmatch(name) else name
