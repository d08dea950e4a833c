"""Calls that may hang in the kernel: made in another thread, with a limit on the wait."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

#: How long a wait may go on after it was cancelled. A signal handler may set no lock, so the flag is looked at.
_CANCEL_SECONDS: Final = 0.2


class CallTimedOut(Exception):
    """The call, or an earlier one about the same subject, has not returned."""


class Results(NamedTuple, Generic[T]):
    """The results of several calls."""

    by_subject: dict[str, T]
    hanging: tuple[str, ...]
    """Subjects whose call, this one or an earlier one, has not returned."""


class _Done(NamedTuple, Generic[T]):
    value: T | None
    error: Exception | None = None

    def result(self) -> T:
        """What the function returned or raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is what it returned


class _Walk(Generic[T]):
    """Makes calls one after the other in its own thread, until it is abandoned in a call that does not return."""

    def __init__(self, subjects: Sequence[str], functions: Mapping[str, Callable[[], T]]) -> None:
        self._subjects, self._functions = subjects, functions
        self._lock = threading.Lock()
        self._left = False
        self.done: dict[str, _Done[T]] = {}
        self.thread = threading.Thread(target=self._run, name=f"call guard {subjects[0]}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for subject in self._subjects:
            try:
                made = _Done(self._functions[subject]())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
                made = _Done(None, error)
            with self._lock:
                if self._left:
                    return
                self.done[subject] = made

    def wait(self, seconds: float, cancelled: Callable[[], bool]) -> None:
        """Wait until all calls are done, one has taken ``seconds`` (at most twice that), or the wait is cancelled."""
        while self.thread.is_alive():
            before, until = len(self.done), time.monotonic() + seconds
            while self.thread.is_alive() and not cancelled() and (left := until - time.monotonic()) > 0:
                self.thread.join(min(left, _CANCEL_SECONDS))
            if len(self.done) == before:
                return

    def leave(self) -> str | None:
        """Abandon the thread; return the subject of its current call, or None if it is done."""
        with self._lock:
            self._left = True
            return self._subjects[len(self.done)] if len(self.done) < len(self._subjects) else None


class CallGuard(Generic[T]):
    """Waits at most ``seconds`` for a call. A subject that hangs is not called again until its call returns.

    Not thread-safe. The threads of hanging calls end with the process.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._out: dict[str, threading.Thread] = {}
        self._cancelled = False

    def cancel(self) -> None:
        """Wait for no call any more, now and later; from any thread, and from signal handlers."""
        self._cancelled = True

    def each(self, functions: Mapping[str, Callable[[], T]]) -> Results[T]:
        """Call all functions in one thread; if a call hangs, another thread continues with the rest."""
        self._out = {subject: thread for subject, thread in self._out.items() if thread.is_alive()}
        waiting = [subject for subject in functions if subject not in self._out]
        answers: dict[str, T] = {}
        while waiting:
            walk = _Walk(waiting, functions)
            walk.wait(self._seconds, lambda: self._cancelled)
            stuck = walk.leave()
            answers |= {subject: made.result() for subject, made in walk.done.items()}
            if stuck is not None:
                self._out[stuck] = walk.thread
            waiting = waiting[len(walk.done) + 1 :]
        return Results(answers, tuple(subject for subject in functions if subject in self._out))

    def call(self, subject: str, function: Callable[[], T]) -> T:
        """What the function returns or raises.

        Raises:
            CallTimedOut: it did neither in time; raised at once if an earlier call still hangs.
        """
        answers = self.each({subject: function})
        if answers.hanging:
            raise CallTimedOut
        return answers.by_subject[subject]
