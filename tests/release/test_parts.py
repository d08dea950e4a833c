"""The pure parts of a release: the version's places, the changelog's sections, archives, what pushes an image."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import nvtopo
from image import build as image_build
from nvtopo import cli
from release import __main__ as command
from release import archives, changelog, published, push, version
from release.errors import ReleaseError
from tests.daemonset import shipped

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A.\n\n## 0.1.0 - 2026-01-01\n\n- First.\n"


def test_program_image_chart_manifests_and_metrics_have_one_version() -> None:
    chart = yaml.safe_load((shipped.DAEMONSET / "Chart.yaml").read_text())
    metrics = (ROOT / "fixtures/hosts/h100-one-link-down/expected/metrics.prom").read_text()
    said = {
        CliRunner().invoke(cli.main, ["--version"]).output.split()[-1],
        image_build.NAME.rpartition(":")[2],
        chart["version"],
        chart["appVersion"],
        *(container["image"].rpartition(":")[2] for _, _, container in shipped.containers(shipped.base())),
        *re.findall(r'nvtopo_build_info\{version="(.*)"\}', metrics),
    }
    assert said == {nvtopo.__version__}


@pytest.mark.slow
def test_a_new_version_reaches_every_place_that_has_the_old_one() -> None:
    words = ("git", "ls-files", "--", *version.PLACES)
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in names if not name.endswith(".png")]
    assert any(nvtopo.__version__ in text for text in texts)
    alone = re.compile(rf"(?<![\d.]){re.escape(nvtopo.__version__)}(?![\d.])")
    left = [line for text in texts for line in version.replaced(text, nvtopo.__version__, "9.8.7").splitlines()]
    assert [line for line in left if alone.search(line)] == []


def test_versions_of_others_stay() -> None:
    text = "image: nvtopo:1.2.3\nimage: other:1.2.3\nnvtopo:1.2.34\nrequires 1.2.3\nversion: 1.2.3"
    assert version.replaced(text, "1.2.3", "2.0.0") == (
        "image: nvtopo:2.0.0\nimage: other:1.2.3\nnvtopo:1.2.34\nrequires 1.2.3\nversion: 2.0.0"
    )


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3\n", "1.2.3; rm", "1.2.9999999"]
)
def test_what_is_no_version_is_refused_in_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([text]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"release: {text!r} is no version")
    assert said.count("\n") == 1


def test_a_section_is_begun_and_read() -> None:
    begun = changelog.begun(CHANGELOG, "0.2.0", "2026-02-02")
    assert changelog.section(begun, "0.2.0") == "### Added\n\n- A.\n"
    assert changelog.section(begun, "0.1.0") == "- First.\n"
    assert (changelog.section(begun, "Unreleased") or "").strip() == ""
    assert changelog.section(begun, "0.3.0") is None


def test_nothing_to_release_is_refused() -> None:
    begun = changelog.begun(CHANGELOG, "0.2.0", "2026-02-02")
    with pytest.raises(ReleaseError, match="nothing under"):
        changelog.begun(begun, "0.3.0", "2026-03-03")


def test_the_changelog_can_be_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changelog.section(changelog.begun(text, "9.8.7", "2026-02-02"), "9.8.7") == changelog.section(
        text, "Unreleased"
    )


def test_the_same_files_are_the_same_archive() -> None:
    files = {"a/b": b"1", "a/c": b"2"}
    assert archives.packed(files, 5) == archives.packed(dict(reversed(files.items())), 5)
    assert archives.packed(files, 5) != archives.packed(files, 6)
    assert archives.unpacked(archives.packed(files, 5)) == files


def test_sums_are_as_sha256sum_reads_them(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "SUMS").write_text(archives.sums({name: tmp_path / name for name in ("b", "a")}))
    assert subprocess.run(("sha256sum", "--check", "--strict", "SUMS"), cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("registry", ["", "https://a", "a b", "A/b", "a/nvtopo:1", "a:port/b", "-a", "a/../b c"])
def test_what_is_no_registry_is_refused_in_one_line(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert push.main(["--", registry]) == 2
    said = capsys.readouterr().err
    assert said.startswith("push: ")
    assert said.endswith("make push REGISTRY=registry.example.com/team\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("registry", ["ghcr.io/team", "localhost:5000", "registry.example.com:5000/a/b/"])
def test_a_registry_gets_the_image_of_this_version(registry: str) -> None:
    assert push.target(registry) == f"{registry.rstrip('/')}/nvtopo:{nvtopo.__version__}"


def test_skopeo_pushes_or_else_buildah_or_else_a_line_says_what_to_install() -> None:
    def chosen(*there: str) -> list[str]:
        which = {name: name for name in there}.get
        return [each[0] for each in push.commands(Path("x.tar"), "r/nvtopo:1", ("tls-verify=false",), which)]

    assert chosen("skopeo", "buildah") == ["skopeo"]
    assert chosen("buildah") == ["buildah"] * 3
    with pytest.raises(ReleaseError, match="apt-get install -y skopeo"):
        chosen()


def test_an_archive_that_is_missing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push.main(["ghcr.io/team", str(tmp_path / "none.tar")]) == 3
    assert capsys.readouterr().err == f"push: {tmp_path}/none.tar does not exist: make image\n"


def test_the_workflow_runs_targets_that_there_are() -> None:
    (workflow,) = yaml.safe_load_all((ROOT / ".github/workflows/release.yml").read_text())
    run = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    targets = set(re.findall(r"\bmake ([a-z-]+)", run))
    assert {"release", "push"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert workflow[True] == {"push": {"tags": ["v*"]}}, "YAML 1.1 reads `on` as true"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [a](docs/a.md#b)", "see [a](U/blob/v1/docs/a.md#b)"),
        ("![a `b` c](docs/a.png)", "![a `b` c](U/raw/v1/docs/a.png)"),
        ("[`a`](docs/a.md)", "[`a`](U/blob/v1/docs/a.md)"),
        ("[a](#b) [c](https://d/e)", "[a](#b) [c](https://d/e)"),
        ("`[a](b.md)`\n```\n[c](d.md)\n```\n", "`[a](b.md)`\n```\n[c](d.md)\n```\n"),
    ],
    ids=["link", "picture", "code-as-text", "no-path", "code"],
)
def test_paths_become_addresses(text: str, expected: str) -> None:
    assert published.readme(text, "U", "v1") == expected


@pytest.mark.parametrize(
    "url", ["", "forge.example.com/a/b", "http://forge.example.com/a/b", "https://forge/", "https://f/a b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ReleaseError, match="URL="):
        published.base(url)


def test_a_file_that_is_no_longer_as_expected_is_refused() -> None:
    with pytest.raises(ReleaseError, match="published"):
        published.metadata("[metadata]\n", "U", "v1")
