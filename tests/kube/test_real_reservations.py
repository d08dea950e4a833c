"""Two replicas reserve, confirm and release at the same time on the real API server; no GPU is held twice.

``NVTOPO_LEDGER_CALLS=10000`` is the long form.
"""

import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Final, NamedTuple

import pytest

from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations
from nvtopo.placement.ledger import Gpu, Ledger, Refused
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.placement.seeds import seeded
from tests.placement.test_ledger import reservation

pytestmark = pytest.mark.lab

CALLS: Final = int(os.environ.get("NVTOPO_LEDGER_CALLS", "1000"))
NODES: Final = 30
THREADS: Final = 20
"""Of each replica."""


class Holding(NamedTuple):
    """For certain: from the answer to reserve until the call of release."""

    begun: float
    ended: float
    gpus: frozenset[Gpu]


@pytest.fixture
def clients(control_plane: ControlPlane) -> Iterator[tuple[Client, Client]]:
    kube.create_namespace(control_plane.api(), "reservations")
    with (
        client_module.connect(control_plane.admin_kubeconfig) as one,
        client_module.connect(control_plane.admin_kubeconfig) as other,
    ):
        yield one, other


def test_no_gpu_is_held_twice(clients: tuple[Client, Client]) -> None:
    replicas = [Reservations(client, "reservations", time.time) for client in clients]
    history: list[Holding] = []
    each = CALLS // (len(replicas) * THREADS)
    threads = [
        threading.Thread(target=worked, args=(replicas[number % 2], seeded(number), f"t{number}", each, history))
        for number in range(len(replicas) * THREADS)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    writes = sum(replica.writes for replica in replicas)
    print(  # noqa: T201 - the figure is what the long form is run for
        f"{CALLS} calls in {seconds:.1f} s, {CALLS / seconds:.0f} a second, {writes} writes, {len(history)} gangs held"
    )
    assert len(history) > CALLS / 10
    last: dict[Gpu, float] = {}
    for holding in sorted(history):
        for gpu in holding.gpus:
            assert last.get(gpu, 0.0) <= holding.begun, (gpu, holding)
            last[gpu] = holding.ended
    assert not replicas[0].do(lambda ledger: dict(ledger.gpus))


def worked(replica: Reservations, draw: Random, who: str, calls: int, history: list[Holding]) -> None:
    """So many calls: gangs of up to 8 GPUs, each reserved, mostly confirmed, and released."""
    number = 0
    while calls > 0:
        number += 1
        node = draw.randrange(NODES)
        gpus = [(f"n{(node + at // 4) % NODES}", at % 4) for at in range(draw.choice([1, 2, 4, 8]))]
        wanted = reservation(f"{who}-{number}", *gpus, until=time.time() + 600)
        calls -= 1
        try:
            found = replica.do(partial(Ledger.reserve, wanted=wanted))
        except Refused:
            continue
        begun = time.monotonic()
        if draw.random() < 0.8:
            calls -= 1
            assert replica.do(partial(Ledger.confirm, key=found.id)).until is None
        calls -= 1
        ended = time.monotonic()
        history.append(Holding(begun, ended, found.gpus()))
        assert replica.do(partial(Ledger.release, key=found.id))
