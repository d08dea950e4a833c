"""``Ledger``: which gang holds which GPUs. A state machine: no I/O, and the time is an argument.

A gang is reserved whole or not at all, under the ID of its request. The same ID and the same request give the same
answer, however often they come. A reservation expires unless it is confirmed; confirmed, it stays until it is released.
No GPU is ever in two reservations, and a new reservation never has a GPU that other pods use.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from nvtopo.model.records.record import Name, Record
from nvtopo.placement.result import Assignment

MOST_RESERVATIONS: Final = 20_000
MOST_GPUS: Final = 200_000
"""The most GPUs that all reservations may hold together."""

_LONGEST_LOG: Final = 200_000

Gpu = tuple[str, int]
"""Node and index."""


class Reservation(Record, frozen=True, kw_only=True):
    """GPUs that a gang holds."""

    id: Name
    fingerprint: Annotated[str, Meta(max_length=64)]
    """Of the request: another request under the same ID is refused."""
    until: float | None = None
    """Seconds since 1970 when it expires; None once it is confirmed."""
    answer: Assignment

    def gpus(self) -> frozenset[Gpu]:
        """The GPUs that it holds."""
        return frozenset((rank.node, gpu) for rank in self.answer.ranks for gpu in rank.gpus)


class Refused(Exception):
    """The ledger does not do what is asked; the message says why."""


class IdTaken(Refused):
    """Another request has this ID."""


class Held(Refused):
    """A GPU is in use."""


class Full(Refused):
    """There are as many reservations as there may be."""


class Unknown(Refused):
    """No reservation has this ID: it never had one, expired, or was released."""


class ReservationChange(NamedTuple):
    """A reservation that came, or went."""

    reservation: Reservation
    came: bool


class Ledger:
    """All reservations."""

    __slots__ = ("_holders", "_reservations", "log")

    def __init__(self, reservations: Iterable[Reservation] = ()) -> None:
        """As they were stored.

        Raises:
            Refused: two of them share a GPU or an ID, which none of ours do.
        """
        self._reservations: dict[str, Reservation] = {}
        self._holders: dict[Gpu, str] = {}
        self.log: list[ReservationChange] = []
        """What came and went, in order, here and in those that this is a copy of: who has seen a part of the very same
        list need only look at the rest."""
        for reservation in reservations:
            if reservation.id in self._reservations:
                raise IdTaken(f"two reservations have the ID {reservation.id}")
            self._add(reservation)

    def copy(self) -> "Ledger":
        """The one that comes next: only one of the two may change from here on, since both have one log."""
        made = Ledger()
        made._reservations, made._holders = dict(self._reservations), dict(self._holders)
        if len(self.log) < _LONGEST_LOG:
            made.log = self.log
        return made

    @property
    def reservations(self) -> Mapping[str, Reservation]:
        """ID → reservation."""
        return self._reservations

    @property
    def gpus(self) -> Mapping[Gpu, str]:
        """Every GPU that is held, with the ID that holds it."""
        return self._holders

    def get(self, key: str, fingerprint: str) -> Reservation | None:
        """The reservation of this request; None if there is none.

        Raises:
            IdTaken: another request has this ID.
        """
        found = self._reservations.get(key)
        if found is not None and found.fingerprint != fingerprint:
            raise IdTaken(f"reservation {key}: another request has this ID; take a new one")
        return found

    def get_known(self, key: str) -> Reservation:
        """The reservation.

        Raises:
            Unknown: it is not there, or has expired.
        """
        found = self._reservations.get(key)
        if found is None:
            raise Unknown(f"reservation {key}: expected one that was not released and has not expired; reserve again")
        return found

    def expire(self, now: float) -> tuple[str, ...]:
        """Drop what was not confirmed in time; the IDs of it."""
        late = tuple(key for key, found in self._reservations.items() if found.until is not None and found.until <= now)
        for key in late:
            self._drop(key)
        return late

    def reserve(self, wanted: Reservation, used: Collection[Gpu] = frozenset()) -> Reservation:
        """All GPUs of the gang, or none. ``used`` are GPUs of pods that no reservation is for.

        Raises:
            IdTaken: another request has this ID.
            Held: one of the GPUs is in use.
            Full: there are too many reservations.
        """
        found = self.get(wanted.id, wanted.fingerprint)
        if found is not None:
            return found
        if len(self._reservations) >= MOST_RESERVATIONS:
            raise Full(f"reservation {wanted.id}: expected at most {MOST_RESERVATIONS} at a time; release some")
        gpus = wanted.gpus()
        if len(self._holders) + len(gpus) > MOST_GPUS:
            raise Full(f"reservation {wanted.id}: expected at most {MOST_GPUS} GPUs held at a time; release some")
        for node, gpu in sorted(gpus):
            if (node, gpu) in used:
                raise Held(f"reservation {wanted.id}: GPU {gpu} of {node} is used by a pod")
        self._add(wanted)
        return wanted

    def confirm(self, key: str) -> Reservation:
        """It no longer expires; once more is the same.

        Raises:
            Unknown: it is not there, or has expired.
        """
        found = self.get_known(key)
        if found.until is not None:
            found = self._reservations[key] = Reservation(
                id=found.id, fingerprint=found.fingerprint, answer=found.answer
            )
        return found

    def move(self, key: str, answer: Assignment, used: Collection[Gpu] = frozenset()) -> Reservation:
        """It holds the GPUs of another answer, all at once; ``used`` are GPUs of pods that no reservation is for.

        Raises:
            Unknown: it is not there, or has expired.
            Held: a GPU that it did not hold is in use.
        """
        found = self.get_known(key)
        moved = Reservation(id=key, fingerprint=found.fingerprint, until=found.until, answer=answer)
        for node, gpu in sorted(moved.gpus() - found.gpus()):
            if (node, gpu) in used or (node, gpu) in self._holders:
                holder = self._holders.get((node, gpu), "a pod")
                raise Held(f"reservation {key}: GPU {gpu} of {node} is held by {holder}")
        self._drop(key)
        self._add(moved)
        return moved

    def release(self, key: str) -> bool:
        """Its GPUs are free; whether it was there."""
        if key not in self._reservations:
            return False
        self._drop(key)
        return True

    def _add(self, reservation: Reservation) -> None:
        gpus = reservation.gpus()
        for gpu in sorted(gpus):
            if gpu in self._holders:
                holder = self._holders[gpu]
                raise Held(f"reservation {reservation.id}: GPU {gpu[1]} of {gpu[0]} is held by reservation {holder}")
        self._reservations[reservation.id] = reservation
        self._holders.update(dict.fromkeys(gpus, reservation.id))
        self.log.append(ReservationChange(reservation, came=True))

    def _drop(self, key: str) -> None:
        gone = self._reservations.pop(key)
        for gpu in gone.gpus():
            del self._holders[gpu]
        self.log.append(ReservationChange(gone, came=False))
