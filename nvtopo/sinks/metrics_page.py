"""The metrics page of one observation as text, as the agent serves it."""

from prometheus_client import CollectorRegistry, generate_latest

from nvtopo.sinks.metrics import Observation, ObservationCollector


def page(observation: Observation) -> bytes:
    """All families in the text exposition format."""
    registry = CollectorRegistry()
    registry.register(ObservationCollector(lambda: observation))
    return generate_latest(registry)
