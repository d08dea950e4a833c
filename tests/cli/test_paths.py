"""Paths on the command line: what can't be read or written is exit code 3 and one line, in every verb alike."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nvtopo import cli
from nvtopo.cli import habits
from nvtopo.cli.paths import FilePath
from nvtopo.errors import ReadError
from tests.hosts.recorded import FIXTURES

CAPTURE = str(FIXTURES / "hosts" / "h100-one-link-down" / "capture.json")
EXIT_READ = 3

#: What is written, may come while the verb runs, or is refused by who reads it. The others are there at the start.
NO_INPUTS = {
    "agent": {
        "--bearer-token-file",
        "--dranet-socket",
        "--expect",
        "--expectations",
        "--features-dir",
        "--tls-cert-file",
        "--tls-private-key-file",
    },
    "aggregator": {"--tls-cert-file", "--tls-private-key-file", "--topology"},
    "bundle": {"file"},
    "capture": {"file"},
    "doctor": {"--sign"},
    "dra-driver": {"--plugins-dir"},
    "dump": {"--output"},
    "export": {"--output"},
    "man": {"--output"},
    "simulate": {"--svg"},
    "standalone": {"--topology"},
    "why": {"--features-dir"},
}


def parameters() -> list[tuple[str, click.Parameter]]:
    context = click.Context(cli.main)
    commands = {verb: cli.main.get_command(context, verb) for verb in cli.VERBS}
    return [
        (verb, parameter)
        for verb, command in commands.items()
        if command is not None
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
    ]


def spelt(parameter: click.Parameter) -> str:
    return parameter.name or "" if isinstance(parameter, click.Argument) else max(parameter.opts, key=len)


def is_input(verb: str, parameter: click.Parameter) -> bool:
    return spelt(parameter) not in {*NO_INPUTS.get(verb, ()), "--kubeconfig"}


ALL = parameters()
INPUTS = [(verb, parameter) for verb, parameter in ALL if is_input(verb, parameter)]
EACH_INPUT = pytest.mark.parametrize(
    ("verb", "parameter"), INPUTS, ids=[f"{verb} {spelt(parameter)}" for verb, parameter in INPUTS]
)


def start(verb: str, parameter: click.Parameter, path: str) -> None:
    """Parse a command line of this one path."""
    command = cli.main.get_command(click.Context(cli.main), verb)
    assert command is not None
    command.make_context(verb, [path] if isinstance(parameter, click.Argument) else [spelt(parameter), path])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def test_what_the_table_names_exists() -> None:
    there = {(verb, spelt(parameter)) for verb, parameter in ALL}
    assert {(verb, name) for verb, names in NO_INPUTS.items() for name in names} <= there
    assert {type(parameter.type) for _, parameter in ALL} == {FilePath}


@EACH_INPUT
def test_an_input_that_is_not_there_can_t_be_read(verb: str, parameter: click.Parameter, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(ReadError) as refused:
        start(verb, parameter, missing)
    assert str(refused.value) == f"{missing}: {os.strerror(errno.ENOENT)}"


@EACH_INPUT
def test_an_input_of_another_kind_can_t_be_read(verb: str, parameter: click.Parameter, tmp_path: Path) -> None:
    assert isinstance(parameter.type, FilePath)
    if parameter.type.dir_okay and parameter.type.file_okay:
        return
    path, code = (Path(CAPTURE), errno.ENOTDIR) if parameter.type.dir_okay else (tmp_path, errno.EISDIR)
    with pytest.raises(ReadError) as refused:
        start(verb, parameter, str(path))
    assert str(refused.value) == f"{path}: {os.strerror(code)}"


def test_a_path_that_was_forgotten_is_quoted() -> None:
    with pytest.raises(ReadError, match=r"^'': No such file or directory$"):
        start("dump", next(one for verb, one in ALL if (verb, spelt(one)) == ("dump", "--from")), "")


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted({verb for verb, parameter in ALL if spelt(parameter) == "--kubeconfig"}))
def test_a_kubeconfig_that_is_not_there_can_t_be_read(verb: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    request = tmp_path / "request.yaml"
    request.write_text("apiVersion: nvtopo.io/v1alpha1\nkind: PlacementRequest\nspec: {pods: 1, gpusPerPod: 1}\n")
    rest = {
        "accept": ["node-1"],
        "agent": ["--once", "--no-features"],
        "bundle": [str(tmp_path / "node.tar.gz"), "node-1"],
        "compare": ["--nodes", "node-1"],
        "export": ["json"],
        "history": ["node-1"],
        "place": ["--request", str(request)],
        "release": ["--all"],
        "why": ["node-1"],
    }
    done = run(verb, "--kubeconfig", missing, *rest.get(verb, ()))
    assert done.returncode == EXIT_READ, done.stderr
    assert f"{missing}: expected a kubeconfig, found none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("capture", "--nvml", "none", "{}"),
        ("bundle", "--from", CAPTURE, "{}"),
        ("dump", "--from", CAPTURE, "--format", "tree", "--output", "{}"),
        ("export", "json", "--from", str(FIXTURES / "hosts" / "gb200-nvl72-tray"), "--output", "{}"),
        ("man", "--output", "{}"),
        ("agent", "--once", "--nvml", "none", "--no-resource", "--features-dir", "{}"),
        ("doctor", "--from", CAPTURE, "--format", "json", "--sign", "{}", "/dev/null"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_can_t_be_written_is_one_line_too(arguments: tuple[str, ...], tmp_path: Path) -> None:
    below_a_file = tmp_path / "file" / "x"
    below_a_file.parent.touch()
    done = run(*(argument.format(below_a_file) for argument in arguments))
    assert done.returncode == EXIT_READ, done.stderr
    assert str(below_a_file) in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted({verb for verb, parameter in ALL if spelt(parameter) == "--root"}))
def test_a_root_without_a_machine_is_no_machine_without_gpus(verb: str, tmp_path: Path) -> None:
    parameter = next(one for name, one in ALL if (name, spelt(one)) == (verb, "--root"))
    with pytest.raises(ReadError, match="expected a directory with the machine's sys and proc, found neither"):
        start(verb, parameter, str(tmp_path))
    (tmp_path / "proc").mkdir()
    command = cli.main.get_command(click.Context(cli.main), verb)
    assert command is not None
    command.make_context(verb, ["--root", str(tmp_path)], resilient_parsing=True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["dump", "doctor", "inventory", "why"])
def test_a_library_that_was_named_and_does_not_load_is_no_missing_driver(verb: str, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    for library in (tmp_path / "libnvidia-ml.so.1", tmp_path / "missing", tmp_path):
        done = run(verb, "--nvml", str(library))
        assert (done.returncode, done.stdout) == (EXIT_READ, "")
        assert done.stderr.startswith(f"nvtopo: --nvml {library}: expected the NVML library, or 'none': ")
        assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["libnvidia-ml.so.1"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("capture", "{}/x"), ("bundle", "{}/x"), ("nfd-hook",)])
def test_what_is_kept_of_a_node_says_what_is_there_without_its_library(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(*(argument.format(tmp_path) for argument in arguments), "--nvml", str(tmp_path / "missing"))
    assert done.returncode == 0, done.stderr


def test_every_verb_is_walked() -> None:
    assert {verb for verb, _ in ALL} >= set(habits.EXAMPLES) - {"completion"}
