"""On a host whose ports hear: captures in DIRECTORY, both.json with two neighbours and then one.json with one."""

import queue
import sys
from pathlib import Path

import msgspec

from nvtopo.sources import reading
from nvtopo.sources.linux import neighbors
from nvtopo.sources.linux.lldp import LldpListener

_PATIENCE = 90.0


def main(directory: Path) -> None:
    news: queue.SimpleQueue[None] = queue.SimpleQueue()
    with LldpListener(lambda: ("eth0", "eth1"), lambda: news.put(None)) as listener:
        machine = reading.this_machine(node_name="gpu07")._replace(lldp=listener)
        for name, count in (("both", 2), ("one", 1)):
            while True:
                news.get(timeout=_PATIENCE)
                snapshot = reading.read(machine, (neighbors,))
                if snapshot.problems:
                    raise SystemExit(str(snapshot.problems))
                if snapshot.lldp is not None and len(snapshot.lldp.neighbors) == count:
                    break
            (directory / ".new").write_bytes(msgspec.json.encode(snapshot))
            (directory / ".new").replace(directory / f"{name}.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
