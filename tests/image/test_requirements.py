"""The image's requirements: every package that nvtopo needs there, in the version that is tested, with its hashes."""

import configparser
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from image import base, build
from image.platforms import ALL, HOST
from image.tools import ImageError

FILES: Final = ("image/requirements.txt", "image/requirements-build.txt")
PACKAGE: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")


def pinned(name: str) -> dict[str, str]:
    found = map(PACKAGE.match, (build.REPOSITORY / name).read_text().splitlines())
    return {_normal(match[1]): match[2] for match in found if match}


@pytest.mark.parametrize("name", FILES)
def test_each_package_has_hashes_and_no_other_source(name: str) -> None:
    text = (build.REPOSITORY / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        assert PACKAGE.match(line), line
        assert re.fullmatch(r"\S+( ;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line[:80]


@pytest.mark.parametrize("name", FILES)
def test_each_version_is_the_one_that_is_tested(name: str) -> None:
    tested = pinned("constraints.txt")
    assert pinned(name).items() <= tested.items()


def test_everything_that_is_needed_is_there() -> None:
    """By setup.cfg as it is now: the metadata of an installed nvtopo may be older."""
    declared = configparser.ConfigParser(inline_comment_prefixes=("#",))
    declared.read(build.REPOSITORY / "setup.cfg")
    extras = declared["options.extras_require"]
    ours = (extras[name] for name in ("kubernetes", "aggregator", "dra", "tracing"))
    lines = "\n".join((declared["options"]["install_requires"], *ours))
    direct = {_normal(Requirement(line).name) for line in lines.split("\n") if line.strip()}
    assert direct <= pinned(FILES[0]).keys()
    assert pinned(FILES[0]).keys() == direct.union(*(_needed(name, frozenset()) for name in direct))


def test_what_the_image_is_built_from_has_both_files() -> None:
    names = {path.relative_to(build.REPOSITORY).as_posix() for path in build.context()}
    assert {*FILES, "Dockerfile", "nvtopo/__init__.py"} <= names
    dockerfile = Path(build.REPOSITORY / "Dockerfile").read_text()
    installs = re.findall(r"pip install (?:[^&]|\\\n)*", dockerfile) + re.findall(
        r"pip --python (?:[^&]|\\\n)*", dockerfile
    )
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install


def test_the_base_has_to_be_named_by_digest() -> None:
    """Nothing is added to what BASE says, no stage has a base of its own, and there is no default."""
    dockerfile = Path(build.REPOSITORY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM +(?:--platform=\S+ +)?(\S+)", dockerfile, re.MULTILINE)
    assert stages == ["${BUILD_BASE}", "${BASE}"]
    head, *bodies = re.split(r"^FROM .*$", dockerfile, flags=re.MULTILINE)
    assert re.findall(r"^ARG +(\S+)", head, re.MULTILINE) == ["BASE", "BUILD_BASE=${BASE}"]
    for name, body in zip(("BUILD_BASE", "BASE"), bodies, strict=True):
        assert re.search(rf"^ARG {name}$", body, re.MULTILINE)
        (step, *_) = re.findall(r"^RUN (.+?)(?: *\\)?$", body, re.MULTILINE)
        for value, status in ((f"debian@sha256:{'0' * 64}", 0), ("debian:bookworm-slim", 1), ("", 1)):
            done = subprocess.run(("sh", "-c", step), env={name: value}, check=False)
            assert done.returncode == status, (step, value)


@pytest.mark.skipif(HOST is None, reason="the image is built on amd64 or arm64")
def test_a_build_of_ours_names_its_bases_by_digest() -> None:
    assert HOST is not None
    sha = f"sha256:{'a' * 64}"
    for platform in ALL:
        assert base.reference(lambda *_: sha, platform) == f"{base.name(platform).partition(':')[0]}@{sha}"
        for no_digest in ("", "latest", sha[:-1], f"{sha}\n{sha}"):
            with pytest.raises(ImageError, match="expected the digest of the base"):
                base.reference(lambda *_, said=no_digest: said, platform)


def _needed(name: str, extras: frozenset[str]) -> set[str]:
    """The names of all that is installed with it, by what is installed here."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(_normal(name), extras)]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        for line in metadata.requires(each[0]) or ():
            requirement = Requirement(line)
            asked = each[1] or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in asked):
                waiting.append((_normal(requirement.name), frozenset(requirement.extras)))
    return {found for found, _ in seen} - {_normal(name)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
