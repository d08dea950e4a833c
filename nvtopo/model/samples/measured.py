"""What other programs measured: bandwidth of collectives, of copies, and of RDMA. Bytes per second, one direction."""

from collections.abc import Mapping
from typing import NamedTuple


class Collective(NamedTuple):
    """A run of nccl-tests."""

    ranks: Mapping[str, tuple[int, ...]]
    """Host → the indices of its GPUs that took part; empty if the output names none."""
    bytes_per_second: int
    """The best bus bandwidth of any size: what the slowest link on the way carried."""
    largest_bytes: int
    """The largest message: small ones measure latency."""
    wrong: int
    """Values that came out wrong."""


class Copies(NamedTuple):
    """One table of nvbandwidth."""

    name: str
    """``device_to_device_memcpy_read_ce``."""
    pairs: Mapping[tuple[int, int], int]
    """(GPU, GPU) → rate; of copies from or to the CPU, (-1, GPU)."""


class Rdma(NamedTuple):
    """A run of one of perftest's programs."""

    device: str
    bytes_per_second: int | None = None
    """The average of the largest messages."""
    message_bytes: int = 0
    """How large these are."""
    latency_us: float | None = None
    """Of the smallest messages, one way."""


class Storage(NamedTuple):
    """A run of fio or gdsio."""

    program: str
    name: str
    """The job and its direction; of gdsio the direction and the way, as it names them."""
    bytes_per_second: int | None
    """None if it moved nothing."""
    error: int = 0
    """The number of the error that ended it."""


class Diagnosis(NamedTuple):
    """What a test of DCGM's diagnostics said of one GPU, or of the whole node."""

    test: str
    gpu: str
    """``GPU3``; empty if it is about no single GPU."""
    status: str
    """``pass``, ``fail``, ``warn``, ``skip``."""
    said: str = ""


class Measured(NamedTuple):
    """All that was measured."""

    collectives: tuple[Collective, ...] = ()
    copies: tuple[Copies, ...] = ()
    rdma: tuple[Rdma, ...] = ()
    storage: tuple[Storage, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
