"""Pictures of the live page for the docs: ``python -m tests.pictures`` draws them anew with Chromium."""

import base64
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.browser import CHROMIUM, tab
from tests.exporters.page_fabric import cable
from tests.fabrics.ibfabric import Shape, host, text, wired

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
_RACK: Final = "fixtures/clusters/gb200-nvl72-demo"
_FACTS: Final = "document.querySelector('#facts .matrix')"
_WRONG: Final = "document.querySelectorAll('.cable:not([data-state=there])').length === 3"


class Picture(NamedTuple):
    """One picture."""

    name: str
    width: int
    height: int
    """Of the window, in pixels."""
    ready: str
    """What is true in the page once all is there."""
    place: str = ""
    """The end of the address."""
    part: str = ""
    """The one element that is shown; the window if empty."""
    cabled: bool = False
    """Whether the rack has a network."""


PICTURES: Final = (
    Picture("page.png", 1440, 860, _FACTS, "#node/nvl72-r01-t03"),
    Picture("page-phone.png", 390, 844, _FACTS, "#node/nvl72-r01-t03"),
    Picture("page-fabric.png", 1100, 1200, _WRONG, part="#fabric", cabled=True),
)


def main() -> int:
    """Draw all."""
    if CHROMIUM is None:
        sys.stderr.write("pictures: Chromium is not installed: apt-get install -y chromium\n")
        return 3
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            (FOLDER / picture.name).write_bytes(_drawn(picture, Path(folder)))
        sys.stdout.write(f"{FOLDER.relative_to(ROOT) / picture.name}\n")
    return 0


def _drawn(picture: Picture, folder: Path) -> bytes:
    """As PNG."""
    more = ("--topology", str(_network(folder / "topology"))) if picture.cabled else ()
    with _page(*more) as url, tab(folder / "profile") as shown:
        shown.open(url + picture.place, picture.width, picture.height)
        shown.wait(picture.ready)
        box = dict[str, float]()
        if picture.part:
            found = shown.find(f"document.querySelector('{picture.part}').getBoundingClientRect().toJSON()")
            box = {key: found[key] for key in ("x", "y", "width", "height")}
        clip = {"clip": box | {"scale": 1}, "captureBeyondViewport": True} if box else {}
        return base64.b64decode(shown.say("Page.captureScreenshot", format="png", **clip)["data"])


def _network(folder: Path) -> Path:
    """A folder with the rack's network, in which a cable is missing and two are swapped."""
    hosts = sorted(path.stem for path in (ROOT / _RACK).glob("*.json"))
    fabric = wired(Shape(racks=1, hosts=len(hosts), spines=2))
    one, other = (cable(fabric, host(0, 9), f"sw-k0-r{rail}") for rail in range(2))
    fabric = fabric.without(one, other, cable(fabric, host(0, 5), "sw-k0-r3"))
    found = text(fabric.with_cables((one[0], other[1]), (other[0], one[1])))
    for at, name in enumerate(hosts):
        found = found.replace(host(0, at), name)
    folder.mkdir()
    (folder / "fabric").write_text(found)
    return folder


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


if __name__ == "__main__":
    sys.exit(main())
