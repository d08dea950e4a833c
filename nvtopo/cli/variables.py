"""Variables ``NVTOPO_*`` of the environment that no option reads: a misspelt one would be ignored in silence."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from nvtopo.cli.habits import PREFIX

#: What Kubernetes gives every pod beside a Service whose name begins with nvtopo.
_OF_A_SERVICE: Final = r"(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)"
#: How alike two whole names are, from 0 to 1: one slip of the fingers, and not a word less.
_NEAR: Final = 0.87


def misspelt(environment: Collection[str], verb: str, verbs: Collection[str], known: Collection[str]) -> Iterator[str]:
    """A line for each variable that neither this verb reads nor, as far as its name says, another one.

    ``known`` are those of the verb. A name without a verb in it counts only if it is nearly one of these: scripts have
    variables of their own.
    """
    for name in environment:
        upper = name.upper()
        if name in known or not upper.startswith(PREFIX) or re.fullmatch(_OF_A_SERVICE, upper.removeprefix(PREFIX)):
            continue
        near = _near(upper, verb, known)
        if near is not None:
            yield f"{name}: no option reads this variable. Did you mean {near}?"
        elif _verb_in(upper, verbs) == verb:
            yield f"{name}: {verb} has no such option"


def prefix_of(verb: str) -> str:
    """How the variables of a verb begin: ``NVTOPO_DRA_DRIVER_``."""
    return f"{PREFIX}{verb}_".replace("-", "_").upper()


def _verb_in(name: str, verbs: Collection[str]) -> str | None:
    return next((verb for verb in verbs if name.startswith(prefix_of(verb))), None)


def _near(name: str, verb: str, known: Collection[str]) -> str | None:
    """The variable of the verb that was meant; None if none is like it."""
    prefix = prefix_of(verb)
    of_verb = name if name.startswith(prefix) else name.replace(PREFIX, prefix, 1)
    for spelt in (name, of_verb):
        if spelt in known:
            return spelt
    from difflib import get_close_matches

    if name.startswith(prefix):
        options = [one.removeprefix(prefix) for one in known if one.startswith(prefix)]
        return next((prefix + option for option in get_close_matches(name.removeprefix(prefix), options, 1)), None)
    return next(iter(get_close_matches(name, known, 1, _NEAR)), None)
