"""A plan of measurements as text to read and copy from, and as JSON."""

import shlex

import msgspec

from nvtopo.checks.measured import rate
from nvtopo.checks.plan import Plan
from nvtopo.model.formats.printable import printable

_HEAD = (
    "# Nothing of this was run. Run each line on the node that is named before it, while no job runs there;\n"
    "# of two nodes start the first line first. Then: nvtopo doctor --measured FILE...\n"
)


def text(plan: Plan) -> str:
    """Comments and commands, to be copied node by node."""
    lines = [_HEAD]
    for number, step in enumerate(plan.steps):
        due, least = step.carries_bytes_per_second, step.least_bytes_per_second
        expected = (
            "what to expect is not known" if due is None or least is None else f"at least {rate(least)} of {rate(due)}"
        )
        lines.append(f"\n# {number}: {printable(step.what)}: {expected}\n")
        for node, command in step.commands.items():
            lines.append(f"# on {printable(node)}\n{_quoted(command)} | tee measured-{number}.txt\n")
    if plan.left_off:
        lines.append(f"\n# {plan.left_off} more are left off: give fewer nodes\n")
    return "".join(lines)


def document(plan: Plan) -> bytes:
    """The same as JSON."""
    built = {"steps": msgspec.to_builtins(plan.steps), "leftOff": plan.left_off}
    return msgspec.json.format(msgspec.json.encode(built), indent=2) + b"\n"


def _quoted(command: str) -> str:
    """A name of a node that a file holds may be anything, and people paste this into a shell."""
    return " ".join(shlex.quote(printable(word)) for word in command.split(" "))
