"""Garbage of verbs that stay: put off while they start, collected from then on."""

import subprocess
import sys

_PROGRAM = """
import gc, weakref
usual = gc.get_threshold()
gc.set_threshold(50_000)
from nvtopo.runtime.gc_tuning import freeze_startup
class Node: pass
node = Node(); node.itself = node; seen = weakref.ref(node); del node
freeze_startup()
assert seen() is None, "what start-up left is collected"
assert gc.get_freeze_count() > 1000, "what it made is not looked at again"
assert gc.get_threshold() == usual, gc.get_threshold()
"""


def test_a_verb_that_stays_collects_as_python_does() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
