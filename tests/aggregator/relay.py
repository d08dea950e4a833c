"""Between a client and a server: cuts connections, leaves pieces out, goes to another server, keeps what was asked."""

import contextlib
import socket
import threading
from collections.abc import Iterator

_PIECE_BYTES = 1 << 16


class Relay:
    """Each connection is a thread for each direction; all end when it is closed."""

    def __init__(self, port: int) -> None:
        self.to = port
        """The port of the server that new connections reach."""
        self.asked: list[bytes] = []
        """The first bytes of each request."""
        self.streams: set[socket.socket] = set()
        """Connections of clients that follow something, as long as they are open."""
        self.left_out: bytes = b""
        """The next piece of an answer that has these bytes is left out."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self) -> None:
        """Every connection that is open now."""
        for one in [*self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No more connections, and none that stay."""
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.to))
                self._open |= {client, server}
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._copy, args=ends, name="relay", daemon=True).start()

    def _copy(self, reads: socket.socket, writes: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := reads.recv(_PIECE_BYTES):
                if asks:
                    self.asked.append(piece)
                    self.streams |= {reads} if b"/watch " in piece else set()
                elif self.left_out and self.left_out in piece:
                    self.left_out = b""
                    continue
                writes.sendall(piece)
            writes.shutdown(socket.SHUT_RDWR)
        self._open -= {reads}
        self.streams -= {reads, writes}
        reads.close()


@contextlib.contextmanager
def relay(port: int) -> Iterator[Relay]:
    """One to the server at this port, while the block lasts."""
    made = Relay(port)
    try:
        yield made
    finally:
        made.close()
