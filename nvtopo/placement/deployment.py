"""A declarative inference deployment as placement reads it, written in the manner of ``InferenceDeployment``.

Such documents are spelled in many ways, so values are found by name in any section: ``tensorParallelism``,
``tensor_parallel``, ``tp``. A policy is known by its word. What placement has no use for is not refused: it is named,
and what decides how many replicas there are is named as the autoscaler's.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nvtopo.errors import ParseError
from nvtopo.model.formats.printable import printable
from nvtopo.placement.document import AFFINITY, ANTI_AFFINITY
from nvtopo.wire import yaml

KIND: Final = "InferenceDeployment"
MOST_REPLICAS: Final = 1000
_MOST_GPUS: Final = 100_000
_DEEPEST: Final = 8
_MOST_FIELDS: Final = 1000
_LONGEST: Final = 200
_EXPECTED: Final = f"an {KIND} in YAML or JSON"

_NAMES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "tensor": frozenset({"tensor", "tensorparallelism", "tensorparallel", "tensorparallelsize", "tp", "tpsize"}),
        "pipeline": frozenset(
            {"pipeline", "pipelineparallelism", "pipelineparallel", "pipelineparallelsize", "pp", "ppsize"}
        ),
        "gpus": frozenset({"gpusperpod", "gpuspernode", "gpusperworker"}),
        "replicas": frozenset({"replicas"}),
        "least": frozenset({"minreplicas", "min"}),
        "most": frozenset({"maxreplicas", "max"}),
        "message": frozenset({"messagebytes"}),
        "stage": frozenset({"stagebytes"}),
        "weights": frozenset({"weightbytes", "bytesfromsource"}),
    }
)
_SCALING: Final = ("autoscaling", "autoscaler", "scaling", "scalingpolicy", "hpa", "scale", "slo", "sla")


class Deployment(NamedTuple):
    """What it asks for."""

    name: str
    model: str
    tensor: int
    pipeline: int
    gpus_per_pod: int | None
    replicas: int
    """That are to be placed."""
    least: int
    most: int
    near: str | None
    """Each stage is inside one domain of this tier."""
    apart: str | None
    """No two replicas share a domain of this tier."""
    message_bytes: int
    stage_bytes: int
    weight_bytes: int
    """That each GPU of a new replica gets from one that is healthy."""
    autoscaler: tuple[str, ...]
    """Fields that are left to an autoscaler."""
    unused: tuple[str, ...]
    """Fields that say nothing of places."""


class _Found(NamedTuple):
    numbers: dict[str, int]
    words: dict[str, str]
    autoscaler: list[str]
    unused: list[str]


def parse(content: bytes, source: str) -> Deployment:
    """The deployment in a document.

    Raises:
        ParseError: it is none, or says two things at once.
    """
    document = yaml.read(content, dict[str, Any], _EXPECTED, source)
    spec, metadata = document.get("spec"), document.get("metadata")
    if document.get("kind") != KIND or not isinstance(spec, dict):
        raise ParseError(f"{source}: expected {_EXPECTED}, with kind and spec")
    found = _Found({}, {}, [], [])
    for number, (path, value) in enumerate(_leaves(spec, (), source)):
        if number >= _MOST_FIELDS:
            raise ParseError(f"{source}: expected at most {_MOST_FIELDS} fields")
        _take(found, path, value, source)
    if "tensor" not in found.numbers:
        raise ParseError(f"{source}: expected the GPUs of a tensor-parallel group, such as tensorParallelism: 8")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return _deployment(name if isinstance(name, str) else "", found, source)


def _deployment(name: str, found: _Found, source: str) -> Deployment:
    numbers = found.numbers
    least = numbers.get("least", numbers.get("replicas", 1))
    replicas = numbers.get("replicas", max(1, least))
    most = numbers.get("most", max(replicas, least))
    if not least <= replicas <= most:
        raise ParseError(f"{source}: expected minReplicas <= replicas <= maxReplicas, got {least}, {replicas}, {most}")
    return Deployment(
        name=printable(name[:_LONGEST]),
        model=found.words.get("model", ""),
        tensor=numbers["tensor"],
        pipeline=numbers.get("pipeline", 1),
        gpus_per_pod=numbers.get("gpus"),
        replicas=replicas,
        least=least,
        most=most,
        near=found.words.get("near"),
        apart=found.words.get("apart"),
        message_bytes=numbers.get("message", 2_000_000),
        stage_bytes=numbers.get("stage", 0),
        weight_bytes=numbers.get("weights", 1_000_000_000),
        autoscaler=tuple(found.autoscaler),
        unused=tuple(found.unused),
    )


def _leaves(value: object, path: tuple[str, ...], source: str) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each value that is no mapping, with its path; lists are values."""
    if len(path) > _DEEPEST:
        raise ParseError(f"{source}: expected at most {_DEEPEST} sections inside each other")
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, (*path, printable(str(name)[:_LONGEST])), source)


def _take(found: _Found, path: tuple[str, ...], value: object, source: str) -> None:
    plain = [_plain(name) for name in path]
    where = f"{source}: spec.{'.'.join(path)}"
    field = next((field for field, names in _NAMES.items() if plain and plain[-1] in names), None)
    inside = any(name in _SCALING for name in plain[:-1])
    if field in {"least", "most"} and plain[-1] in {"min", "max"} and not (inside or "replicas" in plain):
        field = None
    if field is not None:
        limit = MOST_REPLICAS if field in {"replicas", "least", "most"} else _MOST_GPUS
        limit = 1 << 50 if field in {"message", "stage", "weights"} else limit
        lowest = 0 if field in {"least", "stage", "replicas"} else 1
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= limit:
            raise ParseError(f"{where}: expected a whole number from {lowest} to {limit}")
        if found.numbers.setdefault(field, value) != value:
            raise ParseError(f"{where}: is {value}, and {found.numbers[field]} before; expected one of them")
    elif isinstance(value, str) and any("affinity" in name for name in plain):
        _policy(found, value, where)
    elif plain in (["model"], ["modelname"], ["model", "name"], ["model", "id"]) and isinstance(value, str):
        found.words["model"] = printable(value[:_LONGEST])
    else:
        scaling = inside or (len(plain) == 1 and plain[0] in _SCALING)
        (found.autoscaler if scaling else found.unused).append(".".join(path))


def _policy(found: _Found, value: str, where: str) -> None:
    word = value.strip().lower().replace("_", "-").replace(" ", "-")
    for field, policies in (("near", AFFINITY), ("apart", ANTI_AFFINITY)):
        tier = policies.get(word)
        if tier is not None:
            if found.words.setdefault(field, tier) != tier:
                raise ParseError(f"{where}: means {tier}, and {found.words[field]} is asked for before")
            return
    known = ", ".join((*AFFINITY, *ANTI_AFFINITY))
    raise ParseError(f"{where}: expected one of {known}; got {printable(value[:_LONGEST])!r}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
