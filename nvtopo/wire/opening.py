"""What opens URLs: urllib's opener, but the head of an answer has one deadline."""

from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from nvtopo.runtime.timed_response import TimedHead


class _Connection(TimedHead, HTTPConnection):  # type: ignore[misc]  # a property in place of an attribute
    pass


class _TlsConnection(TimedHead, HTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        connection: Any = _TlsConnection
        return self.do_open(connection, req)


def opener() -> OpenerDirector:
    """With proxies by the environment, as ``urllib.request.urlopen`` has them."""
    return build_opener(_Http, _Https)
