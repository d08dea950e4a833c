"""The agent's own processes, on its page."""

from nvtopo.sinks.metrics import processes as process_metrics
from nvtopo.sinks.metrics.series import Families
from nvtopo.sources.linux import own_process


def part() -> Families:
    """What they use now."""
    return process_metrics.families(own_process.read())
