"""urllib3's pool for a connection, for as long as its credentials last.

urllib3 reads certificates and keys from files. Those that a kubeconfig holds as text go into memfds, never to disk.
"""

import os
import socket
import time
from contextlib import ExitStack
from typing import Any, Final

from urllib3 import PoolManager, ProxyManager

from nvtopo.kube.connection import Connection, Pem
from nvtopo.runtime.timed_response import timed_pools

_IDLE_CONNECTIONS: Final = 8
#: A peer that vanished is noticed after idle + count x interval = 60 s, although a watch never sends.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Session:
    """A connection and its pool, for as long as its credentials last. Not for several threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._renew_at = connection.renew_at(time.time())
        self._open = ExitStack()
        self.pool = self._pool()

    @property
    def outdated(self) -> bool:
        """Whether its credentials should be replaced."""
        return self._renew_at is not None and time.time() >= self._renew_at

    def close(self) -> None:
        """Ends the idle connections."""
        self.pool.clear()
        self._open.close()

    def _pool(self) -> PoolManager:
        connection = self.connection
        options: dict[str, Any] = {
            "cert_reqs": "CERT_REQUIRED" if connection.verify else "CERT_NONE",
            "ca_certs": self._file(connection.authority),
            "cert_file": self._file(connection.certificate),
            "key_file": self._file(connection.key),
            "server_hostname": connection.server_name or None,
            "socket_options": list(_KEEP_ALIVE),
            "maxsize": _IDLE_CONNECTIONS,
        }
        pool = self._manager(connection.proxy, options)
        pool.pool_classes_by_scheme = timed_pools(pool.pool_classes_by_scheme)
        return pool

    def _manager(self, proxy: str, options: dict[str, Any]) -> PoolManager:
        if proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy, **options)
        return ProxyManager(proxy, **options) if proxy else PoolManager(**options)

    def _file(self, pem: Pem) -> str | None:
        if not pem.text:
            return pem.path or None
        descriptor = os.memfd_create("nvtopo-pem")
        self._open.callback(os.close, descriptor)
        os.write(descriptor, pem.text.encode())
        return f"/proc/self/fd/{descriptor}"
