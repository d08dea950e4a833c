"""A node of a real cluster, whose agent speaks to the API server through a proxy."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.clock import Clock
from tests.faults.node import Agent, Json, Node
from tests.lab import kube

RESOURCES: Final = "/apis/nvtopo.io/v1alpha1/nodetopologies"
EVENTS: Final = "/apis/events.k8s.io/v1/namespaces/default/events"


class Member(NamedTuple):
    """A node of the cluster whose agent speaks to the API server through the proxy."""

    machine: Node
    api: kube.Api
    kubeconfig: Path

    @property
    def path(self) -> str:
        """Of its resource."""
        return f"{RESOURCES}/{self.machine.name}"

    def start(self, **how: Any) -> Agent:
        return self.machine.start("--kubeconfig", str(self.kubeconfig), resource=True, **how)

    def start_by(self, clock: Clock) -> Agent:
        """With a driver that has all the time in the world: a clock may leap while it answers."""
        given = ("--kubeconfig", str(self.kubeconfig), "--nvml-deadline", "86400")
        return self.machine.start(*given, resource=True, environment=clock.environment)

    def resource(self) -> Json | None:
        """As people see it, past the proxy."""
        return self.api.find(self.path)

    def gpus(self) -> int | None:
        """How many GPUs the resource has; None without a resource."""
        found = self.resource()
        return None if found is None else len(found["spec"].get("gpus", ()))

    def gpu_label(self) -> str | None:
        return self.machine.labels().get("gpu.count")

    def problems(self) -> list[tuple[str, str]]:
        """Subject and reason of each that the resource has."""
        spec = (self.resource() or {"spec": {}})["spec"]
        return [(problem["subject"], problem["reason"]) for problem in spec.get("problems", ())]

    def events(self) -> set[tuple[str, str]]:
        """Type and reason of what ``kubectl describe node`` shows."""
        items = self.api.get(EVENTS)["items"]
        return {(one["type"], one["reason"]) for one in items if one["regarding"]["name"] == self.machine.name}

    def lose_a_gpu(self) -> None:
        self.machine.driver_is_like(lambda model: model["gpus"][3].update(lost=True))
