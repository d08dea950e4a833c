"""The image for both machines: what is in it, that the other one's programs run, and what openssl verifies."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import nvtopo
from image import __main__ as command
from image import build, platforms, provenance
from image.layout import Layout
from image.platforms import Platform
from nvtopo import cli
from nvtopo.cli import man
from tests.image import verify

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1200)]

ELF_MACHINES: Final = {"amd64": 62, "arm64": 183}
INSTALLED: Final = "opt/nvtopo/"
OTHERS: Final = [each for each in platforms.ALL if each != platforms.HOST]
#: What pulls each compiled package in; pyverbs is Debian's.
PROGRAM: Final = """
import json, platform, sys
import h2, kubernetes.client, msgspec, prometheus_client, psutil
import pynvml, pyudev, pyverbs.device, starlette, uvicorn, yaml
print(json.dumps([platform.machine(), psutil.Process().pid > 0, msgspec.json.encode({"a": 1}).decode(), sys.prefix]))
"""


def parts(whole: Layout) -> dict[str, Any]:
    """The manifest of each platform."""
    index = whole.document(whole.manifests[0]["digest"])
    return {each["platform"]["architecture"]: each for each in index["manifests"]}


def installed(whole: Layout, architecture: str) -> Iterator[tuple[str, bytes]]:
    """The files below /opt/nvtopo."""
    for layer in whole.document(parts(whole)[architecture]["digest"])["layers"]:
        with tarfile.open(fileobj=io.BytesIO(whole.blobs[layer["digest"]])) as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isreg() else None
                if content is not None and member.name.startswith(INSTALLED):
                    yield member.name, content.read()


def test_there_is_one_image_for_each_machine(whole: Layout) -> None:
    assert parts(whole).keys() == ELF_MACHINES.keys()
    for architecture, part in parts(whole).items():
        config = whole.document(whole.document(part["digest"])["config"]["digest"])
        assert (config["architecture"], config["os"]) == (architecture, "linux")
        assert config["config"]["Entrypoint"] == ["nvtopo"]
        assert config["config"]["User"] == "65532:65532"


@pytest.mark.parametrize("architecture", ELF_MACHINES)
def test_all_compiled_code_is_of_its_machine(whole: Layout, architecture: str) -> None:
    found = [content for _, content in installed(whole, architecture) if content.startswith(b"\x7fELF")]
    assert len(found) > 5
    assert {int.from_bytes(content[18:20], "little") for content in found} == {ELF_MACHINES[architecture]}


def test_both_have_the_same_python_files(whole: Layout) -> None:
    first, second = (
        {name: content for name, content in installed(whole, each) if name.endswith((".py", ".pyc", "bin/nvtopo"))}
        for each in ELF_MACHINES
    )
    assert len(first) > 1000
    assert first == second


def test_both_have_the_same_manual_pages_of_all_verbs(whole: Layout) -> None:
    first, second = (
        {name: content for name, content in installed(whole, each) if "/share/man/man1/nvtopo" in name}
        for each in ELF_MACHINES
    )
    assert first == second
    assert {Path(name).name for name in first} == man.pages(cli.main).keys()


@pytest.mark.parametrize("platform", OTHERS, ids=lambda each: each.architecture)
def test_the_other_machine_s_programs_run(made: Path, platform: Platform) -> None:
    del made
    with build.opened(platform, command.say) as run:
        assert run("nvtopo", "--version").endswith(nvtopo.__version__)
        machine, *rest = json.loads(run("python3", "-c", PROGRAM))
        assert machine == platform.machine
        assert rest == [True, '{"a":1}', "/opt/nvtopo"]
        node = json.loads(run("nvtopo", "dump", "--format", "json"))
        assert node["spec"]["host"]["kernel"]


def test_openssl_verifies_the_image_s_digest(whole: Layout, made: Path, tmp_path: Path) -> None:
    assert verify.signed_digest(whole, made / "nvtopo.pub", tmp_path) == whole.manifests[0]["digest"]


def test_provenance_names_the_image_and_what_it_was_built_from(whole: Layout, made: Path, tmp_path: Path) -> None:
    first, *_ = verify.statements(whole, made / "nvtopo.pub", tmp_path)
    assert first["predicateType"] == provenance.PROVENANCE
    digests = {f"sha256:{each['digest']['sha256']}" for each in first["subject"]}
    assert digests == {whole.manifests[0]["digest"], *(part["digest"] for part in parts(whole).values())}
    given = {each.get("uri"): each["digest"] for each in first["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert given["file:image/requirements.txt"]["sha256"] == build.source().files["image/requirements.txt"]
    assert len([uri for uri in given if uri and uri.startswith("oci:")]) == len(platforms.ALL)


def test_the_list_of_contents_of_each_is_attached(whole: Layout, made: Path, tmp_path: Path) -> None:
    _, *contents = verify.statements(whole, made / "nvtopo.pub", tmp_path)
    for architecture, statement in zip(ELF_MACHINES, contents, strict=True):
        assert statement["predicateType"] == provenance.CONTENTS
        assert statement["predicate"] == json.loads((made / f"nvtopo.{architecture}.cdx.json").read_text())
        debian = {each.get("purl", "") for each in statement["predicate"]["components"]}
        assert any("pkg:deb/debian/libc6@" in purl and f"arch={architecture}" in purl for purl in debian)
        digests = {f"sha256:{each['digest']['sha256']}" for each in statement["subject"]}
        assert digests == {whole.manifests[0]["digest"], parts(whole)[architecture]["digest"]}
