"""What a user expects of every verb, whatever the verb is."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nvtopo import __main__, __version__, cli
from nvtopo.cli import colour, habits, kubectl_completion, variables
from nvtopo.cli.paths import FilePath
from tests.hosts.recorded import FIXTURES

CAPTURE = FIXTURES / "hosts" / "h100-one-link-down" / "capture.json"
VERBS = pytest.mark.parametrize("verb", list(cli.VERBS))


def command_of(verb: str) -> click.Command:
    command = cli.main.get_command(click.Context(cli.main), verb)
    assert command is not None
    return command


def options_of(verb: str) -> list[click.Option]:
    return [option for option in command_of(verb).params if isinstance(option, click.Option)]


def run(*arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert result.returncode == code, result.stderr
    return result


@VERBS
def test_format_is_o_too_and_choices_have_no_case(verb: str) -> None:
    for option in command_of(verb).params:
        assert "--format" not in option.opts or "-o" in option.opts
        assert not isinstance(option.type, click.Choice) or not option.type.case_sensitive


@VERBS
def test_a_path_is_of_the_type_that_refuses_with_3(verb: str) -> None:
    """Click's own would end with 2, wrong usage."""
    types = {type(option.type) for option in command_of(verb).params if isinstance(option.type, click.Path)}
    assert types <= {FilePath}


@VERBS
def test_each_option_is_a_parameter_of_its_own(verb: str) -> None:
    """Two of one name: a value goes to the wrong place, or the verb does not start at all."""
    names = [option.name for option in command_of(verb).params]
    assert sorted(set(names), key=str) == sorted(names, key=str)


@VERBS
def test_asking_twice_for_a_verb_changes_nothing(verb: str) -> None:
    once = [(option.opts, option.envvar) for option in options_of(verb)]
    assert [(option.opts, option.envvar) for option in options_of(verb)] == once


@VERBS
def test_every_option_has_one_variable_that_no_service_of_kubernetes_sets(verb: str) -> None:
    names = [habits.environment_of(option, verb) for option in options_of(verb)]
    assert len(set(names)) == len(names)
    for option, name in zip(options_of(verb), names, strict=True):
        assert name in (option.envvar or ())
        # a Service named nvtopo-agent puts NVTOPO_AGENT_PORT and NVTOPO_AGENT_SERVICE_HOST into every pod beside it
        assert not re.fullmatch("NVTOPO_[A-Z]+_(PORT(_.*)?|SERVICE_(HOST|PORT.*))", name)


@VERBS
def test_the_examples_of_the_help_are_commands_that_exist(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "captures").mkdir()
    monkeypatch.chdir(tmp_path)
    examples = habits.EXAMPLES.get(verb, ())
    shown = command_of(verb).get_help(click.Context(command_of(verb), info_name=verb))
    for line, _ in examples:
        assert line in shown
        ours = next(part for part in re.split(r"[|>]|\$\(|\)", line) if "nvtopo " in part.replace("ntopo ", ""))
        words = shlex.split(ours.replace('"', "").removeprefix("eval "))
        assert words[:2] == ["nvtopo", verb]
        for word in words[2:]:
            if re.fullmatch(r"[\w-]+\.(json|yaml|csv|txt)", word):
                Path(word).touch()
        command_of(verb).make_context(verb, words[2:])


@VERBS
def test_no_help_shows_its_markup(verb: str) -> None:
    assert "\\" not in command_of(verb).get_help(click.Context(command_of(verb), info_name=verb))


def test_only_the_verbs_that_just_print_have_no_example() -> None:
    assert set(cli.VERBS) - set(habits.EXAMPLES) <= {"version", "help"}


@pytest.mark.parametrize(
    ("mode", "environment", "terminal", "coloured"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_who_decides_on_colours(
    mode: str, environment: dict[str, str], *, terminal: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Output(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr(sys, "stdout", Output())
    assert colour.decided(mode, environment) is coloured


@pytest.mark.slow
def test_colours_in_a_pipe_if_they_are_asked_for() -> None:
    for form in ("matrix", "tree"):
        dump = ("dump", "--from", str(CAPTURE), "-o", form)
        plain = run(*dump, NO_COLOR="", FORCE_COLOR="").stdout
        assert "\x1b[" not in plain
        assert "\x1b[" in run(*dump, "--color", "ALWAYS").stdout
        assert "\x1b[" in run(*dump, FORCE_COLOR="1", NO_COLOR="").stdout
        assert "\x1b[" not in run(*dump, "--color", "never", FORCE_COLOR="1").stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.svg", "a.DOT", "a.json", "a.yml", "a.xml", "a.txt"])
def test_the_name_of_the_output_chooses_the_format(name: str, tmp_path: Path) -> None:
    run("dump", "--from", str(CAPTURE), "--output", str(tmp_path / name), FORCE_COLOR="1")
    form = {"yml": "yaml", "xml": "nccl", "txt": "matrix"}.get(name[2:].lower(), name[2:].lower())
    printed = run("dump", "--from", str(CAPTURE), "--format", form, FORCE_COLOR="", NO_COLOR="1").stdout
    assert (tmp_path / name).read_text(encoding="utf-8") == printed


@pytest.mark.slow
def test_an_output_without_a_known_ending_needs_a_format(tmp_path: Path) -> None:
    target = tmp_path / "topology.bmp"
    refused = run("dump", "--from", str(CAPTURE), "--output", str(target), code=2).stderr
    assert refused.count("\n") == 1
    assert ".svg" in refused
    assert not target.exists()
    run("dump", "--from", str(CAPTURE), "--output", str(target), "--format", "labels")
    assert target.read_text(encoding="utf-8").startswith("gpu.nvlink.group=G0\n")


@pytest.mark.slow
def test_options_come_from_the_environment_and_the_command_line_wins() -> None:
    labels = run("dump", NVTOPO_DUMP_FORMAT="LABELS", NVTOPO_DUMP_FROM=str(CAPTURE)).stdout
    assert labels.startswith("gpu.nvlink.group=G0\n")
    assert run("dump", "-o", "json", NVTOPO_DUMP_FORMAT="labels", NVTOPO_DUMP_FROM=str(CAPTURE)).stdout[0] == "{"
    assert "NVTOPO_DUMP_FORMAT" in run("dump", NVTOPO_DUMP_FORMAT="poem", code=2).stderr


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("NVTOPO_DUMP_FROMAT", "no option reads this variable. Did you mean NVTOPO_DUMP_FORMAT?"),
        ("NVTOPO_DMUP_FORMAT", "no option reads this variable. Did you mean NVTOPO_DUMP_FORMAT?"),
        ("NVTOPO_FORMAT", "no option reads this variable. Did you mean NVTOPO_DUMP_FORMAT?"),
        ("nvtopo_dump_format", "no option reads this variable. Did you mean NVTOPO_DUMP_FORMAT?"),
        ("NVTOPO_NVLM", "no option reads this variable. Did you mean NVTOPO_NVML?"),
        ("NVTOPO_DUMP_COLOUR", "no option reads this variable. Did you mean NVTOPO_DUMP_COLOR?"),
        ("NVTOPO_DUMP_POEM", "dump has no such option"),
        ("NVTOPO_DUMP_FORMAT", None),
        ("NVTOPO_NVML", None),
        ("NVTOPO_DOCTOR_POLICY", None),  # of another verb
        ("NVTOPO_HOME", None),  # of a script
        ("NVTOPO_DUMP_PORT", None),  # of a Service named nvtopo-dump
        ("NVTOPO_DUMP_PORT_8080_TCP_ADDR", None),
        ("NVTOPO_SERVICE_HOST", None),
    ],
)
def test_a_variable_that_no_option_reads_is_named(name: str, line: str | None) -> None:
    known = {name for option in options_of("dump") for name in option.envvar or ()}
    assert list(variables.misspelt([name], "dump", cli.VERBS, known)) == ([f"{name}: {line}"] if line else [])


@pytest.mark.slow
def test_a_misspelt_variable_is_a_warning_and_completion_gives_none() -> None:
    shown = run("dump", "--from", str(CAPTURE), NVTOPO_DUMP_FROMAT="tree")
    said = "nvtopo: NVTOPO_DUMP_FROMAT: no option reads this variable. Did you mean NVTOPO_DUMP_FORMAT?\n"
    assert shown.stderr == said
    assert run("dump", "--from", str(CAPTURE)).stdout == shown.stdout
    words = {"COMP_WORDS": "nvtopo dump --outp", "COMP_CWORD": "2"}
    completed = run(code=0, _NVTOPO_COMPLETE="bash_complete", NVTOPO_DUMP_FROMAT="tree", **words)
    assert (completed.stdout, completed.stderr) == ("plain,--output\n", "")


@pytest.mark.slow
def test_version_and_help_in_each_spelling() -> None:
    spellings = {run(spelling).stdout for spelling in ("-V", "--version", "version")}
    assert spellings == {f"nvtopo, version {__version__}\n"}
    assert run("help").stdout == run("--help").stdout
    assert run("help", "dump").stdout == run("dump", "-h").stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("dmup",), ("help", "dmup"), ("Dump",)])
def test_a_verb_that_is_nearly_right_is_named(arguments: tuple[str, ...]) -> None:
    assert "Did you mean dump?" in run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dump", "-o", "tre"), "'metrics'. Did you mean tree?"),
        (("dump", "-o", "poem"), "'metrics'."),
        (("export", "kuee"), "Did you mean kueue?"),
        (("agent", "--interval", "30s"), "'30s' is not a valid number."),
        (("simulate", "--racks", "many"), "'many' is not a valid integer."),
        (("doctor", "--from", str(CAPTURE), "--against", str(CAPTURE.parent)), "expected a file, since one node"),
        (("completion", "fsh"), "Did you mean fish or zsh?"),
        (("-o", "json", "dump"), "No such option '-o'. Options of a command come after it: nvtopo dump -o tree"),
        (("--hlep",), "--help"),
        (("dump", "--frmo", "x"), "--from"),
        (("export", "kueue", "--previous", str(CAPTURE)), "--previous is for slurm-tree,"),
        (("graph", "--from", str(CAPTURE), "--node", "h100-one-linkdown"), "Did you mean h100-one-link-down?"),
        (("graph", "--from", str(CAPTURE), "--domain", "x"), "no domain 'x' in the graph"),
        (("bundle", "/dev/null", "h100", "--from", str(CAPTURE)), "no such node: h100"),
        (("compare", "--from", str(CAPTURE), "--nodes", "h100-one-link"), "Did you mean h100-one-link-down?"),
        (("why", "--label", "gpu.cont"), "Did you mean gpu.count or"),
    ],
)
def test_what_is_nearly_right_is_wrong_usage_with_a_hint(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nvtopo", *arguments])
    assert __main__._run() == __main__.EXIT_USAGE
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_plugin_of_kubectl_calls_itself_that() -> None:
    program = "import sys; sys.argv[0] = '/usr/bin/kubectl-nvtopo'; from nvtopo.__main__ import run; run()"
    shown = subprocess.run([sys.executable, "-c", program, "dump", "-h"], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith("Usage: kubectl nvtopo dump ")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_verbs_and_options(tmp_path: Path) -> None:
    (tmp_path / "nvtopo").write_text(f'#!/bin/sh\nexec {sys.executable} -m nvtopo "$@"\n')
    (tmp_path / "nvtopo").chmod(0o755)
    program = (
        'eval "$(nvtopo completion bash)"; COMP_WORDS=($1); COMP_CWORD=$2; '
        '_nvtopo_completion nvtopo; echo "${COMPREPLY[@]}"'
    )
    for words, replies in (("nvtopo dum", "dump"), ("nvtopo dump --outp", "--output"), ("nvtopo help dum", "dump")):
        completed = subprocess.run(
            ["bash", "-c", program, "bash", words, str(len(words.split()) - 1)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )
        assert completed.stdout.strip() == replies


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["wh"], "why\t.+\n:4\n"),
        (["dump", "--format", "t"], "tree\n:4\n"),
        (["man", "dum"], "dump\n:4\n"),
        (["dump", "--from", ""], ":0\n"),
    ],
)
def test_kubectl_completes_its_plugin(
    words: list[str], printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-nvtopo", *words])
    kubectl_completion.run()
    assert re.fullmatch(printed, capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_a_script(shell: str) -> None:
    script = run("completion", shell).stdout
    assert f"_NVTOPO_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)
