"""A headless Chromium that a test drives over a pipe: the DevTools protocol, without a port or another package."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

CHROMIUM: Final = shutil.which("chromium")
_QUIET: Final = ("--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync")
_ONLY_HERE: Final = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
#: What is waited for in the page comes within these, or the test fails.
_PATIENCE_MS: Final = 60_000


class Tab:
    """One tab."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._rest, self._asked = reads, writes, b"", 0
        target = self._call("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        self._session = str(attached["sessionId"])
        self.say("Page.enable")

    def say(self, method: str, **words: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        return self._call(method, words, self._session)

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Go there, in a window of this size."""
        self.say(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.say("Page.navigate", url=url)

    def find(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        found = self.say("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        held = self.find(
            f"new Promise((done) => {{ const until = Date.now() + {_PATIENCE_MS}; const look = () => {{"
            f" let held = false; try {{ held = Boolean({condition}); }} catch {{}}"
            " if (held || Date.now() > until) done(held); else setTimeout(look, 20); }; look(); })"
        )
        assert held, f"{condition}\n{self.find('document.body.innerText')}"

    def press(self, key: str) -> None:
        """A key, down and up."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}[key]
        more = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.say("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def _call(self, method: str, words: dict[str, Any], session: str | None) -> dict[str, Any]:
        self._asked += 1
        asked = {"id": self._asked, "method": method, "params": words} | ({"sessionId": session} if session else {})
        os.write(self._writes, msgspec.json.encode(asked) + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._asked:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._reads, 1 << 16)
            assert piece, "chromium has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        decoded: dict[str, Any] = msgspec.json.decode(message)
        return decoded


@contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with the block."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # It speaks on descriptors 3 and 4.
    command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    words = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *_QUIET, _ONLY_HERE)
    with subprocess.Popen(
        ("/bin/bash", "-c", command, CHROMIUM, *words, f"--user-data-dir={profile}", "--remote-debugging-pipe"),
        pass_fds=(theirs_in, theirs_out),
        stderr=subprocess.DEVNULL,
    ) as browser:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Tab(ours_in, ours_out)
        finally:
            os.close(ours_out)
            browser.terminate()
            browser.wait(30)
            os.close(ours_in)
