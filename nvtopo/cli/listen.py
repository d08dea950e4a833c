"""``--listen HOST:PORT``."""

from nvtopo.errors import UsageError

_HIGHEST_PORT = 65535


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9745`` or ``[::1]:9745``; port 0 means any free port.

    Raises:
        UsageError: ``text`` is not HOST:PORT.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise UsageError(f"--listen: expected HOST:PORT such as 127.0.0.1:9745, got {text!r}")
    return host.strip("[]"), int(port)
