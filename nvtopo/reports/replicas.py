"""The replicas of a deployment as text and as JSON."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from nvtopo.placement.replicas import Placed, Replica

_PS_PER_MS: Final = 1_000_000_000


def people(found: Placed) -> str:
    """Replica by replica, then the room and what placement has no use for."""
    lines = [f"{found.name}: {found.model}" if found.model else found.name]
    for number, replica in enumerate(found.replicas):
        lines += ["", *_replica(number, replica)]
    lines += ["", f"Room for {found.room} of at most {found.max_replicas} replicas; {found.wanted} are asked for."]
    if found.no_fit is not None:
        lines.append(f"No fit for one more: {found.no_fit.reason}.")
        lines += [f"  {count:>6}  {reason}" for reason, count in found.no_fit.counts.items()]
    for words, fields in (("Left to an autoscaler", found.left_to_autoscaler), ("Not used", found.not_used)):
        if fields:
            lines.append(f"{words}: {', '.join(fields)}.")
    return "\n".join(lines) + "\n"


def _replica(number: int, replica: Replica) -> Iterator[str]:
    answer = replica.answer
    near = f", near to {','.join(replica.source)}" if replica.source else ""
    yield (
        f"Replica {number}: {answer.level} {answer.domain}".rstrip()
        + f", {answer.cost.total / _PS_PER_MS:.3f} ms{near}"
    )
    yield "RANK  NODE  GPUS"
    for rank in answer.ranks:
        yield f"{rank.rank:>4}  {rank.node}  {','.join(map(str, rank.gpus))}"


def as_json(found: Placed) -> str:
    """One object."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


FORMATS: Final[Mapping[str, Callable[[Placed], str]]] = {"text": people, "json": as_json}
