"""The docs: no dead link, what is shown is what is printed, and recipes use labels that exist."""

import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from nvtopo import cli
from tests import yaml_text
from tests.pictures import FOLDER, PICTURES, Picture

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("*.md", "docs/**/*.md", ".github/**/*.md", "daemonset/*.md", "monitoring/*.md", "nfd-hooks/*.md")
PAGES = sorted(path for folder in FOLDERS for path in ROOT.glob(folder))
#: What is typed on users' machines: commands there must be understood by the command line as it is.
GUIDES = [page for page in PAGES if page.name != "CHANGELOG.md" and "decisions" not in page.parts]
RECIPES = sorted((ROOT / "docs/recipes").glob("*.yaml"))
TEAM = ROOT / "docs/recipes/team/quota-and-priority.yaml"


#: Command of a console block that no test runs here -> who holds its output.
ELSEWHERE = {
    "nvtopo pods --job team/train": "tests/exporters/test_job_document.py",
    "nvtopo pods --job team/train --prometheus http://prometheus.monitoring:9090": "tests/exporters/test_job_heat.py",
    "nvtopo pods": "tests/daemonset/test_real_cluster.py",
    "kubectl get ntopo": "tests/kube/test_real_api_server.py",
}


def fenced(page: Path | str) -> list[tuple[str, str]]:
    """Language and text of each code block."""
    text = page if isinstance(page, str) else page.read_text(encoding="utf-8")
    return re.findall(r"^ *```([a-z]*)\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)


def is_shown(shown: Sequence[str], printed: Iterable[str]) -> bool:
    """Whether these lines are among the printed ones, in their order; each may go on after a semicolon."""
    rest = iter(printed)
    return bool(shown) and all(any(line == one or one.startswith(f"{line};") for one in rest) for line in shown)


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command of ours that a page shows, in blocks and in sentences."""
    text = page.read_text(encoding="utf-8")
    blocks = [
        line for language, block in fenced(page) if language in {"", "sh", "console"} for line in block.splitlines()
    ]
    inline = re.findall(r"`([^`\n]+)`", re.sub("```.*?```", "", text, flags=re.DOTALL))
    for line in (*blocks, *inline):
        for found in re.findall(r"(?:^|\$ |[|;(] *|kubectl |-- |sudo )nvtopo ((?:[a-z]|-)[^|>#;()&]*)", line):
            try:
                yield shlex.split(found)
            except ValueError:  # a quotation that the cut has opened
                yield found.split()


BLOCKS = [
    block.removeprefix("$ ").rstrip("\n")
    for page in PAGES
    for language, block in fenced(page)
    if language == "console" and " fixtures/" in block.partition("\n")[0]
]


def anchors(page: Path) -> set[str]:
    headings = re.findall("^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_link_is_dead(page: Path) -> None:
    text = re.sub("```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), link


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"]({page.name})" not in index] == ["README.md"]


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0][:60] for block in BLOCKS])
def test_a_console_block_shows_what_is_printed(block: str) -> None:
    command, *shown = block.splitlines()
    printed = subprocess.run(
        [sys.executable, "-m", "nvtopo", *shlex.split(command, comments=True)[1:]],
        cwd=ROOT,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    ).stdout
    assert is_shown(shown, printed.splitlines()), printed


@pytest.mark.parametrize("page", GUIDES, ids=[str(page.relative_to(ROOT)) for page in GUIDES])
def test_a_command_in_the_docs_is_one_that_there_is(page: Path) -> None:
    context = click.Context(cli.main)
    for words in commands(page):
        verb, *others = words
        if verb.startswith("-"):
            assert verb in {"-V", "--version", "-h", "--help"}, words
            continue
        if not re.fullmatch(r"[a-z][a-z-]+", verb):
            continue
        command = cli.main.get_command(context, verb)
        assert command is not None, words
        known = {"-h", "--help", "--", *(name for one in command.params for name in (*one.opts, *one.secondary_opts))}
        given = [word.partition("=")[0].rstrip("].,") for word in others if word.startswith("-") and word != "-"]
        assert [name for name in given if name not in known] == [], words


def test_every_console_block_is_run_or_held_elsewhere() -> None:
    for page in PAGES:
        for language, block in fenced(page):
            command = block.partition("\n")[0].removeprefix("$ ")
            if language != "console" or " fixtures/" in command:
                continue
            assert command in (ROOT / ELSEWHERE[command]).read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_yaml_and_json_in_the_docs_can_be_read(page: Path) -> None:
    for language, block in fenced(page):
        if language in {"yaml", "json"}:
            assert all(document is not None for document in yaml_text.read_all(block))


def pairs(value: Any) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key, inner
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from pairs(inner)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.stem for recipe in RECIPES])
def test_a_recipe_is_whole_and_its_labels_exist(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    (manifest,) = yaml_text.read_all(text)
    assert {"apiVersion", "kind", "metadata", "spec"} <= manifest.keys()
    found = dict(pairs(manifest))
    assert found["containers"][0]["image"]
    assert recipe.stem == "doctor" or found["nvidia.com/gpu"] in {1, 4, 8}
    known = (ROOT / "docs/labels.md").read_text(encoding="utf-8")
    labels = set(re.findall(r"nvtopo\.io/[a-z.-]+", text))
    assert labels
    assert [label for label in labels if f"| `{label}` |" not in known] == []
    for key, value in pairs(manifest):
        assert key != "nodeSelector" or all(isinstance(one, str) for one in value.values())
        assert key != "values" or value == [1, 3] or all(isinstance(one, str) for one in value), (
            "only exit codes are numbers"
        )


def test_a_team_s_recipe_names_its_own_classes_and_labels_that_exist() -> None:
    documents = list(yaml_text.read_all(TEAM.read_text(encoding="utf-8")))
    classes = {one["metadata"]["name"] for one in documents if one["kind"] == "PriorityClass"}
    (pod,) = (one for one in documents if one["kind"] == "Pod")
    assert pod["spec"]["priorityClassName"] in classes
    (scoped,) = (one["spec"]["scopeSelector"] for one in documents if "scopeSelector" in one.get("spec", {}))
    assert set(scoped["matchExpressions"][0]["values"]) <= classes
    known = (ROOT / "docs/labels.md").read_text(encoding="utf-8")
    assert all(f"| `{label}` |" in known for label in pod["spec"]["nodeSelector"])
    assert len({one["metadata"].get("namespace") for one in documents} - {None}) == 1


def test_the_slurm_recipe_is_a_script_and_its_export_is_one_that_there_is() -> None:
    script = ROOT / "docs/recipes/slurm.sh"
    assert subprocess.run(("sh", "-n", str(script)), check=False).returncode == 0
    text = script.read_text(encoding="utf-8")
    options = dict(re.findall("^#SBATCH --([a-z-]+)=(\\S+)$", text, flags=re.MULTILINE))
    assert options["segment"] == options["nodes"]
    (words,) = re.findall("nvtopo (export .*)$", text, flags=re.MULTILINE)
    _, kind, *_ = shlex.split(words)
    assert f"`{kind}`" in (ROOT / "docs/exports.md").read_text(encoding="utf-8")


def test_metrics_to_start_with_are_ten_that_there_are() -> None:
    page = (ROOT / "monitoring/README.md").read_text(encoding="utf-8")
    section = page.partition("## Start with these ten\n")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `(nvtopo_\w+)`", section, flags=re.MULTILINE)
    known = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert len(names) == len(set(names)) == 10
    assert [name for name in names if f"| `{name}` |" not in known] == []


def test_expressions_next_to_dcgm_are_those_that_promtool_runs() -> None:
    shown = [block.strip() for _, block in fenced(ROOT / "docs/dcgm.md")]
    (run,) = yaml_text.read((ROOT / "monitoring/tests/next_to_dcgm.yaml").read_text(encoding="utf-8"))["tests"]
    assert shown == [one["expr"] for one in run["promql_expr_test"]]
    known = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"nvtopo_\w+", (ROOT / "docs/dcgm.md").read_text(encoding="utf-8")))
    assert [name for name in named if f"| `{name}` |" not in known] == []


def test_code_owners_own_what_there_is() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines()
    patterns = [line.split()[0] for line in lines if not line.startswith("#")]
    assert patterns[0] == "*"
    assert [pattern for pattern in patterns[1:] if not (ROOT / pattern.lstrip("/")).exists()] == []


def test_whoever_reports_is_asked_for_a_capture() -> None:
    for page in (*(ROOT / ".github").rglob("*.md"), ROOT / "SUPPORT.md"):
        assert "nvtopo capture" in page.read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize("picture", PICTURES, ids=[picture.name for picture in PICTURES])
def test_a_picture_has_the_size_that_it_is_drawn_in_and_is_shown(picture: Picture) -> None:
    head = (FOLDER / picture.name).read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    whole = (picture.width, picture.height)
    assert (width <= whole[0] and height <= whole[1]) if picture.part else (width, height) == whole
    assert any(f"pictures/{picture.name}" in page.read_text(encoding="utf-8") for page in PAGES)
