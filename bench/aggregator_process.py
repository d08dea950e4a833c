"""The aggregator's server as a process of its own, over racks that nobody lists: for benches that need no API server.

``python -m bench.aggregator_process PORT RACKS`` serves until it is told to end. Readers show the token ``good``,
unless ``--anonymous`` is given. A node comes and goes, unless ``--still`` is given.
"""

import signal
import sys
import threading
from collections.abc import Iterator

from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.rights import Right
from nvtopo.auth.user import User
from nvtopo.cluster.inventory import Event, Listed
from nvtopo.runtime.gc_tuning import freeze_startup
from nvtopo.runtime.switching import switch_often
from tests.cluster import machines

_CHANGE_SECONDS = 1.0


class Racks:
    """A store of whole racks; one node comes and goes, unless it is still."""

    def __init__(self, count: int, *, still: bool = False) -> None:
        self._nodes = machines.racks(count)
        self._still = still

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """The list, and then it again with one node more or less."""
        yield Listed(self._nodes)
        if self._still:
            stop.wait()
            return
        few = dict(self._nodes)
        few.popitem()
        while not stop.wait(_CHANGE_SECONDS):
            yield Listed(few)
            if not stop.wait(_CHANGE_SECONDS):
                yield Listed(self._nodes)


class Reviews:
    """An API server that knows one reader."""

    audiences = ("nvtopo",)

    def user(self, token: str) -> User | None:
        """The reader, for its token."""
        return User(username="prometheus") if token == "good" else None  # noqa: S105 - no secret

    def allowed(self, user: User, right: Right) -> bool:
        """Everything."""
        del user, right
        return True


def main(arguments: list[str]) -> None:
    """Serve."""
    port, racks = map(int, arguments[:2])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    aggregator = Aggregator(Racks(racks, still="--still" in arguments))
    authorizer = Authorizer(Reviews(), LIFETIMES)
    with Access(authorizer) as access:
        asked = None if "--anonymous" in arguments else access
        with GraphServer(aggregator, port=port, access=asked):
            freeze_startup()
            with switch_often():
                aggregator.run(stop)


if __name__ == "__main__":
    main(sys.argv[1:])
