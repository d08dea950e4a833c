"""A signed report: openssl, which knows nothing of nvtopo, verifies the bytes that were printed, and no others."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nvtopo.cli import main
from nvtopo.errors import NvtopoError, ParseError, UsageError
from nvtopo.extras import how_to_install

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "fixtures" / "hosts" / "hgx-h200-8gpu" / "capture.json"
RACK = ROOT / "fixtures" / "clusters" / "gb200-nvl72-rack"
EC = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
KINDS = {"EC": EC, "Ed25519": ("-algorithm", "ED25519")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]


def openssl(*words: str) -> int:
    return subprocess.run(["openssl", *words], capture_output=True, check=False, timeout=60).returncode


def key(folder: Path, *how: str) -> Path:
    file = folder / "key.pem"
    assert openssl("genpkey", *how, "-out", str(file)) == 0
    assert openssl("pkey", "-in", str(file), "-pubout", "-out", str(folder / "public.pem")) == 0 or "-aes256" in how
    return file


def doctor(source: Path, form: str, key: Path, signature: Path) -> Result:
    words = ["doctor", "--from", str(source), "--format", form, "--sign", str(key), str(signature)]
    return CliRunner().invoke(main, words, standalone_mode=False)


def verified(folder: Path, kind: str, report: bytes, signature: bytes) -> bool:
    (folder / "report").write_bytes(report)
    (folder / "raw").write_bytes(base64.b64decode(signature, validate=False))
    public = str(folder / "public.pem")
    words: tuple[str, ...]
    if kind == "EC":
        words = ("dgst", "-sha256", "-verify", public, "-signature", str(folder / "raw"), str(folder / "report"))
    else:
        words = ("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", str(folder / "report"),
                 "-sigfile", str(folder / "raw"))  # fmt: skip
    return openssl(*words) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "form"), [(CAPTURE, "json"), (CAPTURE, "html"), (RACK, "junit")])
def test_openssl_verifies_what_was_printed_and_nothing_else(tmp_path: Path, kind: str, source: Path, form: str) -> None:
    result = doctor(source, form, key(tmp_path, *KINDS[kind]), tmp_path / "report.sig")
    assert result.return_value == 0
    signature = (tmp_path / "report.sig").read_bytes()
    assert signature.endswith(b"\n")
    assert verified(tmp_path, kind, result.stdout_bytes, signature)
    assert not verified(tmp_path, kind, result.stdout_bytes + b" ", signature)


def _rsa(folder: Path) -> Path:
    return key(folder, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def _other_curve(folder: Path) -> Path:
    return key(folder, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")


def _encrypted(folder: Path) -> Path:
    return key(folder, *EC, "-aes256", "-pass", "pass:secret")


def _public(folder: Path) -> Path:
    key(folder, *EC)
    return folder / "public.pem"


def _text(folder: Path) -> Path:
    (folder / "note").write_text("no key\n")
    return folder / "note"


@pytest.mark.parametrize("make", [_rsa, _other_curve, _encrypted, _public, _text])
def test_any_other_key_is_refused_in_one_line_and_nothing_is_printed(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    result = doctor(CAPTURE, "json", make(tmp_path), tmp_path / "report.sig")
    assert isinstance(result.exception, ParseError)
    assert "expected an unencrypted PEM" in str(result.exception)
    assert "\n" not in str(result.exception)
    assert ("it is encrypted" in str(result.exception)) == (make is _encrypted)
    assert result.stdout == ""
    assert not (tmp_path / "report.sig").exists()


def test_a_key_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = doctor(CAPTURE, "json", tmp_path / "none", tmp_path / "report.sig")
    assert isinstance(result.exception, NvtopoError)


def test_text_is_not_signed(tmp_path: Path) -> None:
    result = doctor(CAPTURE, "text", key(tmp_path, *EC), tmp_path / "report.sig")
    assert isinstance(result.exception, UsageError)


def test_without_the_package_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    result = doctor(CAPTURE, "json", key(tmp_path, *EC), tmp_path / "report.sig")
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).endswith(how_to_install("signing"))
    assert result.stdout == ""
