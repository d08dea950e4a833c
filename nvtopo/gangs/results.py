"""What gangs measured, beside what was predicted of them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from nvtopo.gangs.gang import Key
from nvtopo.gangs.state import Gang
from nvtopo.gangs.steps import Result
from nvtopo.placement.cost import PS_PER_SECOND
from nvtopo.placement.pods import in_order

#: Gangs that have series of their own.
_MOST: Final = 500


def measured(gangs: Mapping[Key, Gang]) -> tuple[Result, ...]:
    """Of each gang the first of its pods that measured something; of a limited number of them."""
    return tuple(islice(_results(gangs), _MOST))


def _results(gangs: Mapping[Key, Gang]) -> Iterator[Result]:
    for key, gang in gangs.items():
        said = [pod for pod in gang.pods.values() if pod.measured != (None, None)]
        if gang.answer is not None and said:
            bus, step = in_order(said)[0].measured
            name = f"{key.gang}/{key.group}" if key.group else key.gang
            predicted = gang.answer.cost.total / PS_PER_SECOND
            level, rate = gang.answer.level, gang.answer.bus_bytes_per_second
            yield Result(key.namespace, name, level, rate, bus, predicted, step)
