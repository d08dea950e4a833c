"""The image: two builds from nothing are one image, and its list of contents has every package that is in it."""

import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

import nvtopo
from tests.kubelet.programs import Programs

pytestmark = pytest.mark.kubelet

STATUS: Final = "var/lib/dpkg/status"
DIST_INFO: Final = re.compile(r"opt/nvtopo/lib/python3\.\d+/site-packages/([^/]+)-([^-/]+)\.dist-info/METADATA")
MEGABYTE: Final = 1_000_000


@pytest.fixture(scope="module")
def components(built: Programs) -> list[Any]:
    found: list[Any] = msgspec.json.decode(built.image.sbom.read_bytes())["components"]
    return found


@pytest.fixture(scope="module")
def files(built: Programs) -> dict[str, bytes]:
    """What the layers, one upon the other, have of the two packagers' own records."""
    found = {}
    for layer in _layers(built):
        for member in layer:
            name = member.name.removeprefix("./")
            if name == STATUS or DIST_INFO.fullmatch(name):
                content = layer.extractfile(member)
                assert content is not None
                found[name] = content.read()
    return found


def test_a_build_from_nothing_gives_the_same_image_again(built: Programs) -> None:
    first, second = built.rebuilt
    assert first == second


def test_image_is_as_small_as_its_readme_says(built: Programs) -> None:
    figures = built.image.figures
    unpacked, archive = figures.unpacked_bytes / MEGABYTE, figures.archive_bytes / MEGABYTE
    sys.stdout.write(f"the image: {unpacked:.0f} MB unpacked, {archive:.0f} MB as an archive\n")
    assert figures.unpacked_bytes < 320 * MEGABYTE
    assert figures.archive_bytes < 90 * MEGABYTE


def test_list_has_every_debian_package(components: list[Any], files: dict[str, bytes]) -> None:
    installed = set()
    for paragraph in files[STATUS].decode().split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            installed.add((fields["Package"], fields["Version"]))
    listed = {(each["name"], each["version"]) for each in components if "arch=source" not in each.get("purl", "")}
    assert ("python3-pyverbs", dict(installed)["python3-pyverbs"]) in installed
    assert installed <= listed


def test_list_has_every_python_package(components: list[Any], files: dict[str, bytes]) -> None:
    installed = {(_normal(match[1]), match[2]) for match in map(DIST_INFO.fullmatch, files) if match is not None}
    assert ("nvtopo", nvtopo.__version__) in installed
    assert len(installed) > 20
    assert installed <= {(_normal(each["name"]), each["version"]) for each in components}


def test_list_is_one_of_cyclonedx(built: Programs) -> None:
    document = json.loads(built.image.sbom.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.7")
    assert document["metadata"]["component"]["name"] == "nvtopo"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _layers(built: Programs) -> Iterator[tarfile.TarFile]:
    with tarfile.open(built.image.archive) as archive:

        def blob(digest: str) -> bytes:
            content = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert content is not None
            return content.read()

        index = archive.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.loads(index.read())["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as opened:
                yield opened
