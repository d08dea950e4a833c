"""What storage and diagnostics print: fio's and dcgmi's JSON, and the line of gdsio.

Layouts: fio's ``--output-format=json`` and gdsio's last line as their users quote them, ``dcgmi diag -j`` as DCGM's own
tests read it: one tree of categories, tests and results, which are of GPUs by index (``gpu_ids`` before DCGM 4).
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.formats.printable import printable
from nvtopo.model.samples.measured import Diagnosis, Storage
from nvtopo.wire.documents import Json

_GIBIBYTE: Final = 1 << 30
_MOST: Final = 4096
_LONGEST: Final = 200
_GDSIO: Final = re.compile(
    r"IoType: (\w{1,16}) XferType: (\w{1,16}) Threads: \d+ .*\bThroughput: (\d{1,9}(?:\.\d{1,9})?) GiB/sec"
)


class _Direction(msgspec.Struct, frozen=True):
    bw_bytes: int | float = 0


class _Job(msgspec.Struct, frozen=True):
    jobname: str = ""
    error: int = 0
    read: _Direction = _Direction()
    write: _Direction = _Direction()


class _Warning(msgspec.Struct, frozen=True):
    warning: str = ""


class _Result(msgspec.Struct, frozen=True):
    status: str = ""
    entity_group: str = ""
    entity_id: int | None = None
    gpu_ids: str | int = ""
    warnings: list[_Warning | str] | str = []


class _Test(msgspec.Struct, frozen=True):
    name: str = ""
    results: list[_Result] = []


class _Category(msgspec.Struct, frozen=True):
    tests: list[_Test] = []


class _Diagnostic(msgspec.Struct, frozen=True):
    test_categories: list[_Category] = []


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """Either program's; what it does not have stays empty."""

    jobs: list[_Job] = []
    now: _Diagnostic = msgspec.field(name="DCGM Diagnostic", default=_Diagnostic())
    before: _Diagnostic = msgspec.field(name="DCGM GPU Diagnostic", default=_Diagnostic())


_KEYS: Final = (b'"jobs"', b'"DCGM Diagnostic"', b'"DCGM GPU Diagnostic"')
_DOCUMENT: Final = Json(_Document, "JSON of fio or of dcgmi diag")


def of_json(content: bytes, source: str) -> tuple[tuple[Storage, ...], tuple[Diagnosis, ...]]:
    """What a document of fio or dcgmi holds; nothing for other content. Lines before the document are left out.

    Raises:
        ParseError: it begins like one and is none, or has too much.
    """
    if not any(key in content for key in _KEYS):
        return (), ()
    begin = 0 if content.startswith(b"{") else content.find(b"\n{") + 1
    found = _DOCUMENT.read(content[begin : content.rfind(b"}") + 1], source)
    storage = tuple(_of_jobs(found.jobs))
    diagnoses = (*_of_tests(found.now), *_of_tests(found.before))
    if len(storage) + len(diagnoses) > _MOST:
        raise ParseError(f"{source}: expected at most {_MOST} results, got {len(storage) + len(diagnoses)}")
    return storage, diagnoses


def of_lines(lines: list[str]) -> tuple[Storage, ...]:
    """The runs of gdsio."""
    found = (_GDSIO.search(line) for line in lines)
    return tuple(
        Storage("gdsio", f"{one[1].lower()} {one[2]}", round(float(one[3]) * _GIBIBYTE)) for one in found if one
    )


def _of_jobs(jobs: list[_Job]) -> Iterator[Storage]:
    for job in jobs:
        name = _short(job.jobname)
        rates = {"read": job.read.bw_bytes, "write": job.write.bw_bytes}
        moved = {way: round(rate) for way, rate in rates.items() if rate > 0}
        if job.error or not moved:
            yield Storage("fio", name, None, job.error)
        else:
            yield from (Storage("fio", f"{name} {way}", rate) for way, rate in moved.items())


def _of_tests(diagnostic: _Diagnostic) -> Iterator[Diagnosis]:
    for category in diagnostic.test_categories:
        for test in category.tests:
            for result in test.results:
                yield Diagnosis(_short(test.name), _gpu(result), result.status.casefold(), _said(result))


def _gpu(result: _Result) -> str:
    """``GPU3``; empty if it is about none, or about several."""
    if result.entity_id is not None:
        return f"GPU{result.entity_id}" if result.entity_group == "GPU" else ""
    numbers = str(result.gpu_ids)
    return f"GPU{int(numbers)}" if numbers.isdecimal() and len(numbers) < 4 else ""  # noqa: PLR2004 - an index


def _said(result: _Result) -> str:
    warnings = [result.warnings] if isinstance(result.warnings, str) else result.warnings
    texts = (one if isinstance(one, str) else one.warning for one in warnings)
    return _short("; ".join(text for text in texts if text))


def _short(text: str) -> str:
    return printable(text[:_LONGEST].replace("\n", " "))
