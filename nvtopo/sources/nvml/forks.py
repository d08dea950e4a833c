"""The workers that stay, forked by one process.

That process imports pynvml and never calls it: it opens no driver, so it can't hang in one. What it forks shares the
memory of the interpreter and of pynvml, which is most of a worker's. A worker that hangs is killed alone (decision 15).
"""

import sys

from nvtopo.runtime.forked_worker import ForkServer

#: Collecting garbage pays nothing before the workers begin.
_PROGRAM = "import gc; gc.disable(); from nvtopo.sources.nvml import forks_main; forks_main.main()"


def fork_server() -> ForkServer:
    """Forks ``nvml-counters`` and ``nvml-events``, each with the path of the library."""
    return ForkServer([sys.executable, "-c", _PROGRAM])
