"""What a soak found, as figures, as verdicts and as a table."""

import statistics
from typing import Any, Final

from bench.soaking.calm import SCRAPE_SECONDS
from bench.soaking.footprint import Footprint
from bench.soaking.soak_run import SoakRun
from bench.soaking.watched import Sample, Scraper

Json = dict[str, Any]

#: The targets.
MOST_PSS_BYTES: Final = 100_000_000
MOST_PSS_AT_REST_BYTES: Final = 45_000_000
MOST_CPU_SHARE: Final = 0.01
MOST_GROWTH: Final = 0.01

#: Of the run: for a start, and for the caches of a program that has seen each kind of change.
_WARM_SHARE: Final = 0.2
#: Of the rest, at its beginning and at its end.
_COMPARED_SHARE: Final = 0.25
#: Shorter runs say nothing of growth, nor of what happens once a minute.
_LEAST_SECONDS: Final = 300.0
_WORDS: Final = {True: "met", False: "NOT met", None: "too short a run to say"}
_PARTS: Final = (
    ("pss_bytes", "PSS at rest, MB", 1e6),
    ("anonymous_bytes", "of it anonymous, MB", 1e6),
    ("descriptors", "descriptors", 1),
    ("threads", "threads", 1),
)


def figures(soak_run: SoakRun, scraper: Scraper, calm: Json, began: float, ended: float) -> Json:
    """All of them; times are in seconds, memory in bytes."""
    timely = [seen for seen in soak_run.seen if seen.allowed_seconds is not None and seen.delays.get("labels")]
    late = [seen for seen in timely if (seen.delays["labels"] or 0.0) > (seen.allowed_seconds or 0.0)]
    missed = [seen for seen in soak_run.seen if None in seen.delays.values()]
    scrapes = [scrape for scrape in scraper.scrapes if scrape.began >= began]
    found: Json = {
        "seconds": ended - began,
        "changes": len(soak_run.seen),
        "faults": dict(soak_run.faults),
        "missed": [{"kind": seen.kind, "delays": seen.delays} for seen in missed],
        "late": [{"kind": s.kind, "seconds": s.delays["labels"], "allowedSeconds": s.allowed_seconds} for s in late],
        "labelsWrongSeconds": _spread([seen.delays["labels"] or 0.0 for seen in timely]),
        "longestPassSeconds": scraper.longest_pass_seconds,
        "scrapes": {
            "count": len(scrapes),
            "failed": sum(not scrape.whole for scrape in scrapes),
            "seconds": _spread([scrape.seconds for scrape in scrapes]),
        },
        "memory": _memory([one for one in scraper.samples if one.at >= began], began, ended),
        "calm": calm,
    }
    return found | {"met": _met(found)}


def _spread(values: list[float]) -> Json:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"median": statistics.median(ordered), "p99": p99, "maximum": ordered[-1]}


def _memory(samples: list[Sample], began: float, ended: float) -> Json:
    """At rest, with those workers that stay, at the beginning and at the end of the time after the warm-up."""
    warm = began + _WARM_SHARE * (ended - began)
    span = _COMPARED_SHARE * (ended - warm)
    rest = [one for one in samples if one.at_rest]
    first = [one.family.all for one in rest if warm <= one.at <= warm + span]
    last = [one.family.all for one in rest if ended - span <= one.at]
    found: Json = {"mostPssBytes": max(one.family.all.pss_bytes for one in samples)}
    for name in Footprint._fields if first and last else ():
        before, after = (statistics.median(getattr(one, name) for one in part) for part in (first, last))
        found[name] = {"first": before, "last": after, "growth": after / before - 1}
    return found


def _met(found: Json) -> dict[str, bool | None]:
    """What was asked for; None where the run was too short to say."""
    memory, agent = found["memory"], found["calm"]["agent"]
    long = found["seconds"] >= _LEAST_SECONDS and "pss_bytes" in memory
    return {
        "no missed change": not found["missed"],
        "no failed scrape": not found["scrapes"]["failed"],
        "labels right in time": not found["late"],
        "memory flat": memory["pss_bytes"]["growth"] < MOST_GROWTH if long else None,
        "descriptors flat": memory["descriptors"]["growth"] <= 0 if long else None,
        "threads flat": memory["threads"]["growth"] <= 0 if long else None,
        "memory at most 100 MB": max(memory["mostPssBytes"], agent["mostPssBytes"]) <= MOST_PSS_BYTES,
        "memory at rest at most 45 MB": agent["pssBytes"] <= MOST_PSS_AT_REST_BYTES,
        "CPU at most 1 %": agent["cpuShare"] <= MOST_CPU_SHARE if long else None,
    }


def table(found: Json) -> str:
    """The figures for people."""
    faults = ", ".join(f"{count} x {kind}" for kind, count in sorted(found["faults"].items()))
    scrapes, memory = found["scrapes"], found["memory"]
    lines = [
        f"{found['seconds']:.0f} s, {found['changes']} changes; faults: {faults}",
        f"labels wrong for: {_times(found['labelsWrongSeconds'])}; longest pass {found['longestPassSeconds']:.2f} s",
        f"late: {len(found['late'])}, missed: {len(found['missed'])}",
        f"scrapes: {scrapes['count']}, {scrapes['failed']} failed; {_times(scrapes['seconds'])}",
        f"memory of all processes: at most {memory['mostPssBytes'] / 1e6:.1f} MB",
        *(_row(memory[name], words, unit) for name, words, unit in _PARTS if name in memory),
        "",
        *_calm(found["calm"]),
        "",
    ]
    return "\n".join([*lines, *(f"{what}: {_WORDS[met]}" for what, met in found["met"].items())])


def _times(spread: Json) -> str:
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in spread.items())


def _row(part: Json, words: str, unit: float) -> str:
    return f"  {words:22}{part['first'] / unit:9.2f} → {part['last'] / unit:9.2f}  {part['growth']:+.2%}"


def _calm(calm: Json) -> list[str]:
    heading = f"scraped every {SCRAPE_SECONDS:g} s for {calm['seconds']:.0f} s"
    lines = [f"{heading:32}CPU share   PSS MB"]
    both = {name: calm[name] for name in ("agent", "nodeExporter") if name in calm}
    lines += [f"  {name:30}{part['cpuShare']:9.2%}{part['pssBytes'] / 1e6:9.1f}" for name, part in both.items()]
    lines += [f"  {name:39}{pss / 1e6:9.1f}" for name, pss in both["agent"]["processes"].items()]
    if "nodeExporter" in both:
        ratios = (both["agent"][key] / both["nodeExporter"][key] for key in ("cpuShare", "pssBytes"))
        lines.append(f"  {'agent/nodeExporter':30}" + "".join(f"{ratio:9.2f}" for ratio in ratios))
    return lines
