"""What was probably meant by a name that is not there."""

import pytest

from nvtopo.model.formats.near import hint


@pytest.mark.parametrize(
    ("typed", "known", "said"),
    [
        ("dmup", ["dump", "doctor"], ". Did you mean dump?"),
        ("DUMP", ["dump"], ". Did you mean dump?"),
        ("Node-a", ["NODE-A"], ". Did you mean NODE-A?"),
        ("fsh", ["bash", "fish", "zsh"], ". Did you mean fish or zsh?"),
        ("tray", ["gpu", "nic"], ""),
        ("x", [], ""),
        ("", ["dump"], ""),
    ],
)
def test_a_hint_ends_a_message(typed: str, known: list[str], said: str) -> None:
    assert hint(typed, known) == said
