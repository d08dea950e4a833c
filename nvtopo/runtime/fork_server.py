"""A process that has imported what workers need and forks them: they share its memory until they write to it.

The process's half: it waits for requests on its standard input, a socket. A request is a role and its arguments, with
the two pipes that become the worker's input and output. The other half is ``nvtopo.runtime.forked_worker``. Standard
library only.
"""

import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping

#: Between a role and its arguments.
SEPARATOR = b"\0"
_LARGEST_REQUEST_BYTES = 8192


def serve(roles: Mapping[str, Callable[..., None]]) -> None:
    """Fork a worker for each request until the requests end. In a worker, run its role and return.

    A worker's first line is its process's number.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps workers
    gc.freeze()  # a collection in a worker touches none of the pages that it shares
    requests = socket.socket(fileno=0)
    while True:
        request, pipes, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST_BYTES, 2)
        if not request:
            return
        if os.fork() == 0:
            requests.detach()  # its descriptor is standard input, and the next line puts the pipe there
            role, *arguments = request.decode().split(SEPARATOR.decode())
            _become(role, pipes)
            roles[role](*arguments)
            return
        for pipe in pipes:
            os.close(pipe)


def _become(role: str, pipes: list[int]) -> None:
    """Its name in ``ps`` is its role, and the pipes are its input and output.

    It can wait for children, as NVML does for nvidia-modprobe.
    """
    for descriptor, pipe in enumerate(pipes):
        os.dup2(pipe, descriptor)
        os.close(pipe)
    with open("/proc/self/comm", "w", encoding="ascii") as name:  # noqa: PTH123 - pathlib is memory, and a start's time
        name.write(role)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.enable()
    os.write(1, b"%d\n" % os.getpid())
