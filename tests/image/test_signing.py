"""Signature and attestations of a small image: openssl verifies them, and no changed byte passes."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from image import layout, provenance, signing
from image.layout import Layout
from image.tools import ImageError
from tests.image import verify

pytestmark = pytest.mark.slow

NAME: Final = "docker.io/library/nvtopo:1.2.3"
DIGEST: Final = "sha256:" + "a" * 64


def new_key(file: Path, curve: str = "P-256") -> Path:
    words = ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", str(file))
    subprocess.run(words, check=True, capture_output=True)
    return file


@pytest.fixture
def key(tmp_path: Path) -> signing.Key:
    return signing.Key(new_key(tmp_path / "key.pem"))


@pytest.fixture
def public(key: signing.Key, tmp_path: Path) -> Path:
    file = tmp_path / "key.pub"
    file.write_bytes(key.public())
    return file


def single(content: bytes) -> Layout:
    image = Layout()
    layer = image.add("application/vnd.oci.image.layer.v1.tar", content)
    manifest = {"schemaVersion": 2, "mediaType": layout.MANIFEST, "layers": [layer]}
    image.manifests.append(image.add(layout.MANIFEST, layout.encoded(manifest), annotations={"other": "name"}))
    return image


def whole() -> Layout:
    platforms = ({"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"})
    return layout.joined([(each, single(each["architecture"].encode())) for each in platforms], NAME)


def statement() -> layout.Json:
    source = provenance.Source("c" * 40, 0, {"Dockerfile": "d" * 64})
    about = provenance.provenance(source, ["linux/amd64"], {"debian": DIGEST})
    return provenance.statement({NAME: DIGEST}, provenance.PROVENANCE, about)


def test_one_index_has_both_images() -> None:
    image = whole()
    (named,) = image.manifests
    listed = image.document(named["digest"])["manifests"]
    assert [each["platform"]["architecture"] for each in listed] == ["amd64", "arm64"]
    for each in listed:
        (layer,) = image.document(each["digest"])["layers"]
        assert image.blobs[layer["digest"]].decode() == each["platform"]["architecture"]


def test_an_archive_gives_its_layout_back_and_is_the_same_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    whole().write(first)
    read = layout.read(first)
    read.write(second)
    assert (read.blobs, read.manifests) == (whole().blobs, whole().manifests)
    assert first.read_bytes() == second.read_bytes()


def test_a_changed_blob_is_an_error(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    whole().write(archive)
    archive.write_bytes(archive.read_bytes().replace(b"arm64" + bytes(100), b"arm46" + bytes(100)))
    with pytest.raises(ValueError, match="has the digest"):
        layout.read(archive)


def test_openssl_verifies_signature_and_statements(key: signing.Key, public: Path, tmp_path: Path) -> None:
    image = whole()
    (digest,) = [each["digest"] for each in image.manifests]
    signing.sign(image, key, NAME, [statement(), statement()])
    image.write(tmp_path / "image.tar")
    read = layout.read(tmp_path / "image.tar")
    assert verify.signed_digest(read, public, tmp_path) == digest
    assert verify.statements(read, public, tmp_path) == [statement(), statement()]


def test_another_key_verifies_nothing(key: signing.Key, tmp_path: Path) -> None:
    image = whole()
    signing.sign(image, key, NAME, [statement()])
    other = tmp_path / "other.pub"
    other.write_bytes(signing.Key(new_key(tmp_path / "other.pem")).public())
    assert verify.signed_digest(image, other, tmp_path) is None
    assert verify.statements(image, other, tmp_path) == []


def test_a_changed_statement_does_not_pass(key: signing.Key, public: Path, tmp_path: Path) -> None:
    payload = layout.encoded(statement())
    signature = key.sign(signing.pre_authentication(payload))
    assert verify.holds(public, signature, signing.pre_authentication(payload), tmp_path)
    for changed in (payload.replace(b"cccc", b"cccd", 1), payload + b" "):
        assert not verify.holds(public, signature, signing.pre_authentication(changed), tmp_path)


def test_a_key_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, locked = new_key(tmp_path / "plain.pem"), tmp_path / "locked.pem"
    words = ("openssl", "pkey", "-in", str(plain), "-aes256", "-passout", "pass:secret", "-out", str(locked))
    subprocess.run(words, check=True, capture_output=True)
    with pytest.raises(ImageError):
        signing.Key(locked)
    monkeypatch.setenv("NVTOPO_KEY_PASSWORD", "secret")
    assert signing.Key(locked).public() == signing.Key(plain).public()


def test_a_key_that_cannot_sign_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        signing.Key(tmp_path / "none.pem")
    with pytest.raises(ImageError, match="P-256"):
        signing.Key(new_key(tmp_path / "other.pem", "P-384"))
