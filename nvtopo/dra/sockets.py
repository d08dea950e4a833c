"""Where the kubelet looks for plugins, and sockets there that nobody serves any more."""

import logging
import socket
from contextlib import closing
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

PLUGINS: Final = Path("/var/lib/kubelet/plugins_registry")
_SUFFIX: Final = "-reg.sock"
_SECONDS: Final = 1.0


def socket_of(directory: Path, driver: str, instance: str) -> Path:
    """Of one instance, so that the next one can register before this one ends: kubelet 1.33 and newer take both."""
    return directory / (f"{driver}-{instance}{_SUFFIX}" if instance else f"{driver}{_SUFFIX}")


def remove_stale(directory: Path, driver: str) -> None:
    """Remove this driver's sockets that refuse: the kubelet would try them again and again."""
    for path in sorted(directory.glob(f"{driver}*{_SUFFIX}")):
        if _refuses(path):
            logger.info("removing a socket that nobody serves", extra={"path": str(path)})
            path.unlink(missing_ok=True)


def _refuses(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.settimeout(_SECONDS)
        try:
            one.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:  # busy, gone, or not for us to say
            return False
    return False
