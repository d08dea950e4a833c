"""How many reservations a second are durable: ``bench/reservations [--callers N,N,…] [--seconds N] [--json]``.

Callers reserve groups of 8 GPUs and release them, each waiting for its answer, on a real API server and etcd of the
test lab. What waits during a write goes into the next one together. Beside it, in the same run: small objects that are
made one by one.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from nvtopo.aggregator.desk import Desk
from nvtopo.kube.client import Client, connect
from nvtopo.kube.reservations import Reservations
from nvtopo.placement import document
from tests.cluster import machines
from tests.lab import build, kube
from tests.lab.control_plane import ControlPlane

Json = dict[str, Any]

NAMESPACE: Final = "bench-reservations"
RACKS: Final = 60
REQUEST: Final = b'{"spec":{"pods":2,"gpusPerPod":4,"required":"nvlinkDomain"}}'
#: Callers that make objects one by one: more of them are no faster.
MAKERS: Final = 16


def main() -> int:
    """The table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="bench/reservations", description=__doc__)
    parser.add_argument("--callers", default="1,32,256", help="how many call at a time")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    asked = parser.parse_args()
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder, ControlPlane(build.ensure(build.say), Path(folder)) as plane:
        kube.create_namespace(plane.api(), NAMESPACE)
        with connect(plane.admin_kubeconfig) as client:
            found = [measured(client, int(callers), asked.seconds) for callers in asked.callers.split(",")]
            alone = one_by_one(client, asked.seconds)
    out(f"{'CALLERS':>8} {'RESERVED/S':>11} {'WRITES/S':>9} {'MS/WRITE':>9} {'IN ONE':>7} {'CPU':>5}\n")
    for one in found:
        out(
            f"{one['callers']:>8} {one['reservations_per_second']:>11} {one['writes_per_second']:>9} "
            f"{one['milliseconds_per_write']:>9} {one['calls_per_write']:>7} {one['cpu_share']:>5}\n"
        )
    out(f"objects of their own, made one by one: {alone} a second\n")
    out(f"load of the machine meanwhile: {os.getloadavg()[0]:.1f}\n")
    if asked.json:
        out(json.dumps({"ledger": found, "objects_per_second": alone, "load": os.getloadavg()[0]}) + "\n")
    return 0


def measured(client: Client, callers: int, seconds: float) -> Json:
    """Reserve and release, by so many callers at a time."""
    graph = machines.graph(machines.racks(RACKS))
    books = Reservations(client, NAMESPACE, time.time)
    desk = Desk(lambda: graph, books, time.time)
    parsed = document.parse(REQUEST, "the request")
    desk.look(parsed)

    def reserve(caller: int, number: int) -> None:
        key = f"c{caller}-{number}"
        assert desk.place(key, REQUEST, parsed).new
        assert desk.release(key)

    cpu, before = time.process_time(), books.writes
    pairs, took = repeated(reserve, callers, seconds)
    writes = books.writes - before
    return {
        "callers": callers,
        "reservations_per_second": round(pairs / took),
        "writes_per_second": round(writes / took),
        "milliseconds_per_write": round(took / writes * 1000, 1),
        "calls_per_write": round(2 * pairs / writes, 1),
        "cpu_share": round((time.process_time() - cpu) / took, 2),
    }


def one_by_one(client: Client, seconds: float) -> int:
    """One small ConfigMap each, made and deleted, a second."""
    collection = f"/api/v1/namespaces/{NAMESPACE}/configmaps"

    def make(caller: int, number: int) -> None:
        name = f"o{caller}-{number}"
        client.create(collection, json.dumps({"metadata": {"name": name}, "data": {"gpus": "0,1,2,3"}}).encode())
        client.delete(f"{collection}/{name}")

    pairs, took = repeated(make, MAKERS, seconds)
    return round(pairs / took)


def repeated(work: Callable[[int, int], None], callers: int, seconds: float) -> tuple[int, float]:
    """How often the callers did it, all together, and in how many seconds."""
    counts, end = [0] * callers, time.monotonic() + seconds

    def call(caller: int) -> None:
        while time.monotonic() < end:
            work(caller, counts[caller])
            counts[caller] += 1

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
