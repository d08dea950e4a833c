"""Output of programs that measure, recognised by content.

nccl-tests, nvbandwidth, perftest and gdsio, several in one text; or one document of fio or dcgmi in JSON.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from nvtopo.errors import ParseError
from nvtopo.model.samples.measured import Collective, Copies, Measured, Rdma
from nvtopo.sources.foreign import measured_storage

_GIGABYTE: Final = 1_000_000_000
_GIGABIT: Final = 1_000_000_000 // 8
#: perftest's MB.
_MEGABYTE: Final = 1 << 20
_MOST_LINES: Final = 50_000
_LONGEST_LINE: Final = 1000
_EXPECTED: Final = (
    "output of nccl-tests, nvbandwidth, perftest (ib_write_bw, ib_write_lat and their like), gdsio, fio or dcgmi diag"
)

_RANK: Final = re.compile(
    r"\s*#?\s*Rank\s+\d+\s+(?:Group\s+\d+\s+)?Pid\s+\d+\s+on\s+(\S{1,256})\s+device\s+(\d{1,3})\b"
)
_BUS: Final = re.compile(r"\s*#?\s*size\s+count\s+type\b.*\bbusbw\b")
_COLUMNS: Final = re.compile(r"^\s*#bytes\s+#iterations\b")
_TABLE: Final = re.compile(r"^memcpy .*(?:CPU|GPU)\(row\) (?:->|<-|<->) .*\(GB/s\)")
_SUM: Final = re.compile(r"^SUM (\w{1,100})")
_DEVICE: Final = re.compile(r"\bDevice\s*:\s*(\S{1,64})")
_LATENCY: Final = "t_typical[usec]"
_HOST: Final = -1


def read(content: bytes, source: str) -> Measured:
    """All that the text holds.

    Raises:
        ParseError: it holds none of these.
    """
    lines = [line[:_LONGEST_LINE] for line in content.decode("utf-8", "replace").splitlines()]
    if len(lines) > _MOST_LINES:
        raise ParseError(f"{source}: expected {_EXPECTED} of at most {_MOST_LINES} lines, got {len(lines)}")
    storage, diagnoses = measured_storage.of_json(content, source)
    runs = tuple(_collectives(lines)), tuple(_copies(lines)), tuple(_rdma(lines))
    found = Measured(*runs, (*storage, *measured_storage.of_lines(lines)), diagnoses)
    if found == Measured():
        raise ParseError(f"{source}: expected {_EXPECTED}, found none")
    return found


def joined(several: Iterable[Measured]) -> Measured:
    """All of them together."""
    parts = tuple(several)
    return Measured(
        tuple(run for part in parts for run in part.collectives),
        tuple(table for part in parts for table in part.copies),
        tuple(run for part in parts for run in part.rdma),
        tuple(run for part in parts for run in part.storage),
        tuple(one for part in parts for one in part.diagnoses),
    )


def _collectives(lines: list[str]) -> Iterator[Collective]:
    """A run is what follows its ranks, up to the next run's ranks or table."""
    ranks: dict[str, list[int]] = {}
    rates: list[float] = []
    largest, wrong, in_table = 0, 0, False
    for line in [*lines, "#  Rank 0 Pid 0 on end device 0"]:
        if (rank := _RANK.match(line)) is not None or _BUS.match(line):
            if in_table and rates:
                yield Collective(_ordered(ranks), round(max(rates) * _GIGABYTE), largest, wrong)
                ranks, rates, largest, wrong = {}, [], 0, 0
            in_table = rank is None
            if rank is not None:
                ranks.setdefault(rank[1], []).append(int(rank[2]))
        elif in_table and (row := _row(line)) is not None:
            rates += row[0]
            wrong += row[1]
            largest = max(largest, int(line.split()[0][:18]))


def _ordered(ranks: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {host: tuple(sorted(set(indices))) for host, indices in ranks.items()}


def _row(line: str) -> tuple[list[float], int] | None:
    """The bus bandwidths of a row and its wrong values: ``time algbw busbw #wrong``, out of place and in place."""
    words = line.split()
    if len(words) < 7 or not words[0].isdecimal() or not words[1].isdecimal():  # noqa: PLR2004 - size count type … one quarter
        return None
    quarters = [words[-8:-4], words[-4:]] if len(words) >= 11 else [words[-4:]]  # noqa: PLR2004 - both places
    rates = [rate for words_ in quarters if (rate := _number(words_[2])) is not None]
    wrong = sum(int(words_[3]) for words_ in quarters if words_[3].isdecimal())
    return (rates, wrong) if rates else None


def _copies(lines: list[str]) -> Iterator[Copies]:
    """Tables end with the sum that names them."""
    pairs: dict[tuple[int, int], int] = {}
    heading, columns, from_host = "", list[int](), False
    for line in lines:
        if _TABLE.match(line):
            heading, columns, pairs, from_host = line, [], {}, "CPU(row)" in line
        elif heading and (named := _SUM.match(line)) is not None:
            if pairs:
                yield Copies(named[1], pairs)
            heading = ""
        elif heading:
            words = line.split()
            if not columns:
                columns = [int(word) for word in words if word.isdecimal()]
            elif words and words[0].isdecimal():
                for column, word in zip(columns, words[1:], strict=False):
                    if (rate := _number(word)) is not None:
                        pairs[_HOST if from_host else int(words[0]), column] = round(rate * _GIGABYTE)


def _rdma(lines: list[str]) -> Iterator[Rdma]:
    """A run has a heading with its device, and one table."""
    device, columns, rows = "", list[str](), list[list[str]]()
    for line in [*lines, " Device : "]:
        named = _DEVICE.search(line)
        if named is not None or line.startswith(" Device : "):
            if device and rows:
                yield _of_table(device, columns, rows)
            device, columns, rows = named[1] if named else "", [], []
        elif device and _COLUMNS.match(line):
            columns = re.sub(r"BW (\w+)", r"BW_\1", line).split()
        elif columns and (words := line.split()) and words[0].isdecimal():
            rows.append(words)


def _of_table(device: str, columns: list[str], rows: list[list[str]]) -> Rdma:
    for name, unit in (
        ("BW_average[Gb/sec]", _GIGABIT),
        ("BW_average[MB/sec]", _MEGABYTE),
        ("BW_average[MiB/sec]", _MEGABYTE),
    ):
        if name in columns and (rate := _cell(columns, rows[-1], name)) is not None:
            return Rdma(device, bytes_per_second=round(rate * unit), message_bytes=int(rows[-1][0][:18]))
    return Rdma(device, latency_us=_cell(columns, rows[0], _LATENCY) if _LATENCY in columns else None)


def _cell(columns: list[str], row: list[str], name: str) -> float | None:
    at = columns.index(name)
    return _number(row[at]) if at < len(row) else None


def _number(word: str) -> float | None:
    """A rate as these programs print it; None for ``N/A`` and what is none."""
    return float(word) if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", word) else None
