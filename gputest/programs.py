"""Runs one program with a deadline, and keeps a bounded part of what it prints."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

_MOST_BYTES: Final = 16 << 20
_MOST_ERROR_BYTES: Final = 4000
_END_SECONDS: Final = 2.0

State = Literal["ok", "failed", "hung", "missing", "skipped"]


class Output(NamedTuple):
    """What came of a program."""

    state: State
    text: bytes = b""
    reason: str = ""
    """Why it is not ``ok``, in one line."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.state == "ok"


SKIPPED: Final = Output("skipped", reason="not started: the time of this test is used up")


def run(command: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> Output:
    """What the program prints. It and its children are killed at the deadline; never raises for what it does."""
    if seconds <= 0:
        return SKIPPED
    began = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except FileNotFoundError:
        return Output("missing", reason=f"{command[0]} is not installed")
    except OSError as error:
        return Output("failed", reason=f"{command[0]} can't be started: {error.strerror}")
    try:
        text, errors, reason = _read(child, began + seconds)
        if not reason:
            try:
                child.wait(max(_END_SECONDS, began + seconds - time.monotonic()))
            except subprocess.TimeoutExpired:
                reason = "it does not end"
    finally:
        _end(child)
    spent = time.monotonic() - began
    if reason:
        return Output("hung", text, f"no end within {seconds:.0f} s" if reason == "late" else reason, spent)
    if child.returncode:
        said = " ".join((errors.strip() or text[:_MOST_ERROR_BYTES].strip()).decode("utf-8", "replace").split())
        return Output("failed", text, f"ended with {child.returncode}: {said[:300] or 'it said nothing'}", spent)
    return Output("ok", text, seconds=spent)


def _read(child: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes, str]:
    """Standard output, standard error, and why reading stopped before their ends."""
    assert child.stdout is not None
    assert child.stderr is not None
    kept = {child.stdout: bytearray(), child.stderr: bytearray()}
    reason = ""
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and not reason:
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready and time.monotonic() >= deadline:
                reason = "late"
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                kept[key.fileobj] += chunk  # type: ignore[index]
            if len(kept[child.stdout]) > _MOST_BYTES:
                reason = f"it printed more than {_MOST_BYTES >> 20} MiB"
            del kept[child.stderr][_MOST_ERROR_BYTES:]
    return bytes(kept[child.stdout][:_MOST_BYTES]), bytes(kept[child.stderr]), reason


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the child and of what it started. One stuck in the kernel is not waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_END_SECONDS)
