"""`make push` into a real registry: both platforms arrive, with skopeo and with buildah."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from image import build, layout
from release import push
from tests.image.test_signing import single

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry with its files in a folder of the test's: HOST:PORT."""
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": "127.0.0.1:0"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = ("docker-registry", "serve", str(tmp_path / "config.json"))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            found = (re.search(r"listening on (127\.0\.0\.1:\d+)", line) for line in served.stderr)
            yield next(match[1] for match in found if match)
        finally:
            served.terminate()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A small image for two platforms."""
    platforms = [{"architecture": name, "os": "linux"} for name in ("amd64", "arm64")]
    parts = []
    for platform in platforms:
        part = single(platform["architecture"].encode())
        config = part.add(layout.CONFIG, layout.encoded({**platform, "rootfs": {"type": "layers", "diff_ids": []}}))
        manifest = {"schemaVersion": 2, "mediaType": layout.MANIFEST, "config": config, "layers": []}
        part.manifests[:] = [part.add(layout.MANIFEST, layout.encoded(manifest))]
        parts.append((platform, part))
    whole = layout.joined(parts, build.NAME)
    # What `make image KEY=…` puts beside the image.
    whole.manifests.append(
        whole.add(layout.MANIFEST, layout.encoded({"schemaVersion": 2}), annotations={"kind": "sigs"})
    )
    whole.write(tmp_path / "image.tar")
    return tmp_path / "image.tar"


@pytest.mark.parametrize("program", ["skopeo", "buildah"])
def test_both_platforms_arrive(program: str, registry: str, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", {program: program}.get)
    monkeypatch.setenv("STORAGE_DRIVER", "vfs")
    assert push.main([f"{registry}/team", str(archive), "--insecure"]) == 0
    version = build.NAME.rpartition(":")[2]
    url = f"http://{registry}/v2/team/nvtopo/manifests/{version}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": layout.INDEX})) as answer:
        listed = json.load(answer)["manifests"]
    assert {each["platform"]["architecture"] for each in listed} == {"amd64", "arm64"}
