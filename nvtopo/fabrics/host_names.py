"""Names of one host: ``gpu07``, ``gpu07.example.com`` and ``GPU07``, as its adapters have them."""

from collections.abc import Iterable, Mapping


def same(devices: Iterable[tuple[str, str]], nodes: frozenset[str]) -> dict[str, str]:
    """Name → the name of the same host that counts, where that is another one.

    ``devices`` are hosts with their NICs. Two names are one host if they differ in case or domain alone and no NIC has
    both; a first part that several domains have says nothing.
    """
    nics: dict[str, set[str]] = {}
    for node, nic in devices:
        nics.setdefault(node, set()).add(nic)
    found: dict[str, str] = {}
    for names in _alike(nics):
        together = [nic for name in names for nic in nics[name]]
        if len(together) == len(set(together)):
            counts = min(
                names, key=lambda name: (name not in nodes, -len(nics[name]), len(name), name != name.lower(), name)
            )
            found |= {name: counts for name in names if name != counts}
    return found


def _alike(nics: Mapping[str, set[str]]) -> Iterable[list[str]]:
    """Names that differ in case or domain alone, where there are several."""
    first: dict[str, list[str]] = {}
    for name in sorted(nics):
        first.setdefault(name.partition(".")[0].lower(), []).append(name)
    for names in first.values():
        domains = {name.lower() for name in names if "." in name}
        if len(names) > 1 and len(domains) <= 1:
            yield names
