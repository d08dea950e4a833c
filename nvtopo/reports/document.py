"""The report as JSON: ``{"verdict", "findings", …}`` of a node, ``{"verdict", "nodes", "findings"}`` of a fleet."""

import hashlib

import msgspec

from nvtopo.checks.fleet import FleetReport
from nvtopo.checks.report import NodeReport

Report = NodeReport | FleetReport

_DIGEST_BYTES = 16


def encode(report: Report) -> bytes:
    """The report in one line: the same bytes for equal reports."""
    return msgspec.json.encode(report, order="deterministic")


def digest(report: Report) -> str:
    """A hash of the whole report. Equal reports have an equal one, whatever the version of their other formats."""
    return f"blake2b:{hashlib.blake2b(encode(report), digest_size=_DIGEST_BYTES).hexdigest()}"


def render(report: Report) -> bytes:
    """The report, indented, with its digest."""
    document = {**msgspec.to_builtins(report), "digest": digest(report)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
