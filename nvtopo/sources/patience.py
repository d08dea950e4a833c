"""Calls that may stay in the kernel: made in another thread, which is waited for so long and no longer."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Hangs(Exception):
    """The call, or one before it about the same thing, has not come back."""


class Answers(NamedTuple, Generic[T]):
    """What came of several calls."""

    by_subject: dict[str, T]
    hanging: tuple[str, ...]
    """Subjects whose call has not come back, now or before."""


class _Done(NamedTuple, Generic[T]):
    value: T | None
    error: Exception | None = None

    def result(self) -> T:
        """What the function returned or raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is what it returned


class _Walk(Generic[T]):
    """Makes calls one after the other in a thread of its own, until it is left alone with one that does not return."""

    def __init__(self, subjects: Sequence[str], functions: Mapping[str, Callable[[], T]]) -> None:
        self._subjects, self._functions = subjects, functions
        self._lock = threading.Lock()
        self._left = False
        self.done: dict[str, _Done[T]] = {}
        self.thread = threading.Thread(target=self._run, name=f"patience {subjects[0]}", daemon=True)
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

    def wait(self, seconds: float) -> None:
        """Until it is through, or has been at one call for ``seconds`` (twice that at most)."""
        while self.thread.is_alive():
            before = len(self.done)
            self.thread.join(seconds)
            if len(self.done) == before:
                return

    def leave(self) -> str | None:
        """Take no more of it; the subject that it is at, None where it is through."""
        with self._lock:
            self._left = True
            return self._subjects[len(self.done)] if len(self.done) < len(self._subjects) else None


class Patience(Generic[T]):
    """Waits ``seconds`` for a call. What is not back then is asked nothing more until it is; threads end with us.

    For one caller at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._out: dict[str, threading.Thread] = {}

    def each(self, functions: Mapping[str, Callable[[], T]]) -> Answers[T]:
        """What the functions return or raise. One thread makes all calls, and another goes on behind one that hangs."""
        self._out = {subject: thread for subject, thread in self._out.items() if thread.is_alive()}
        waiting = [subject for subject in functions if subject not in self._out]
        answers: dict[str, T] = {}
        while waiting:
            walk = _Walk(waiting, functions)
            walk.wait(self._seconds)
            stuck = walk.leave()
            answers |= {subject: made.result() for subject, made in walk.done.items()}
            if stuck is not None:
                self._out[stuck] = walk.thread
            waiting = waiting[len(walk.done) + 1 :]
        return Answers(answers, tuple(subject for subject in functions if subject in self._out))

    def call(self, subject: str, function: Callable[[], T]) -> T:
        """What the function returns or raises.

        Raises:
            Hangs: it does neither; at once where it is known not to.
        """
        answers = self.each({subject: function})
        if answers.hanging:
            raise Hangs
        return answers.by_subject[subject]
