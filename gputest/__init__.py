"""``make gpu-test``: what nvtopo says of this machine, beside what nvidia-smi, ``/sys`` and pynvml say of it.

Programs run with a deadline (``programs``), each tool's text becomes facts (``facts``), and ``compare`` makes rows of
both without I/O. ``docs/gpu-test.md`` says what is compared and what to send.
"""
