"""``python -m tests.chaos.kubelet SOCKET UUID...``: a kubelet whose one pod holds these GPUs, as a process."""

import signal
import sys
from pathlib import Path

from fixtures.synthesize import pod_resources
from tests.sources import kubelet_server


def main(socket: Path, *uuids: str) -> None:
    """Serve until somebody ends it."""
    pod = kubelet_server.pod("train-0", kubelet_server.gpus("worker", *uuids))
    with kubelet_server.serving(socket) as kubelet:
        kubelet.answer = lambda: pod_resources.encoded(pod)
        signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
