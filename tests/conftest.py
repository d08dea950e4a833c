"""What all tests share: hypothesis without a clock for busy machines, and Ctrl-C for the commands that they start.

A gate answers the same for the same tree, so the examples are derived from the tests (hypothesis's own choice for CI).
``make explore`` draws new ones, and more of them.
"""

import signal

import hypothesis

#: On a busy machine drawing is slow, whatever is drawn.
_BUSY = hypothesis.settings(deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("nvtopo", _BUSY, derandomize=True)
hypothesis.settings.register_profile("unit", _BUSY, derandomize=True, max_examples=15)
hypothesis.settings.register_profile("explore", _BUSY, max_examples=1000)
hypothesis.settings.load_profile("nvtopo")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job ignores it, and so would its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
