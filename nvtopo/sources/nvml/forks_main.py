"""The process that forks the workers that stay. It imports pynvml and the standard library only."""

from nvtopo.runtime import fork_server
from nvtopo.sources.nvml import counters_worker, events_worker


def main() -> None:
    """Fork workers until the requests end."""
    fork_server.serve({"nvml-counters": counters_worker.main, "nvml-events": events_worker.main})
