"""Pictures of the live page for the docs: ``python -m tests.pictures`` draws them anew with Chromium."""

import base64
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.browser import tab
from tests.exporters.page_fabric import cable
from tests.fabrics.ibfabric import Shape, host, text, wired

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
_RACK: Final = "fixtures/clusters/gb200-nvl72-demo"
_LIVE: Final = 'data-state="live"'
_ATTEMPTS: Final = 5
#: The page's own time, which does not pass while an answer is awaited.
_WAIT: Final = "--virtual-time-budget=4000"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


class Picture(NamedTuple):
    """One picture."""

    name: str
    size: str
    """Columns and rows, in pixels."""
    place: str = ""
    """What of the page is shown."""


PICTURES: Final = (
    Picture("page.png", "1440,860", "#node/nvl72-r01-t03"),
    Picture("page-phone.png", "390,844", "#node/nvl72-r01-t03"),
)


def main() -> int:
    """Draw all."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.stderr.write("pictures: Chromium is not installed: apt-get install -y chromium\n")
        return 3
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profiles, _page() as url:
        for picture in PICTURES:
            options = (
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profiles}/{picture.name}",
                f"--window-size={picture.size}",
            )
            for _ in range(_ATTEMPTS):
                if _LIVE in _run(*options, _WAIT, "--dump-dom", url + picture.place):
                    break
            else:
                sys.stderr.write(f"pictures: {url} does not come up\n")
                return 3
            _run(*options, _WAIT, f"--screenshot={FOLDER / picture.name}", url + picture.place)
            sys.stdout.write(f"{FOLDER.relative_to(ROOT) / picture.name}\n")
    _fabric(FOLDER / "page-fabric.png")
    return 0


def _fabric(file: Path) -> None:
    """The fabric alone, of a rack in which a cable is missing and two are swapped."""
    hosts = sorted(path.stem for path in (ROOT / _RACK).glob("*.json"))
    fabric = wired(Shape(racks=1, hosts=len(hosts), spines=2))
    one, other = (cable(fabric, host(0, 9), f"sw-k0-r{rail}") for rail in range(2))
    fabric = fabric.without(one, other, cable(fabric, host(0, 5), "sw-k0-r3"))
    found = text(fabric.with_cables((one[0], other[1]), (other[0], one[1])))
    for at, name in enumerate(hosts):
        found = found.replace(host(0, at), name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        topology = Path(folder) / "topology"
        topology.mkdir()
        (topology / "fabric").write_text(found)
        with _page("--topology", str(topology)) as url, tab(Path(folder) / "profile") as shown:
            shown.open(url, 1100, 1200)
            shown.wait("document.querySelectorAll('.cable:not([data-state=there])').length === 3")
            box = "document.querySelector('#fabric').getBoundingClientRect().toJSON()"
            place = {key: value for key, value in shown.find(box).items() if key in {"x", "y", "width", "height"}}
            taken = shown.say(
                "Page.captureScreenshot", format="png", clip=place | {"scale": 1}, captureBeyondViewport=True
            )
    file.write_bytes(base64.b64decode(taken["data"]))
    sys.stdout.write(f"{file.relative_to(ROOT)}\n")


@contextmanager
def _page(*more: str) -> Iterator[str]:
    """The demonstration's page, on any free port."""
    command = [sys.executable, "-m", "nvtopo", "standalone", "--fleet", _RACK, "--stale", "nvl72-r01-t13"]
    command += ["--page-port", "0", "--metrics-port", "0", "--node-name", "this-machine", *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8") as served:
        try:
            assert served.stdout is not None
            found = (re.match(r"Page: +(\S+)", line) for line in served.stdout)
            yield next(match[1] for match in found if match)
        finally:
            served.terminate()


def _run(*command: str) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", timeout=120
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
