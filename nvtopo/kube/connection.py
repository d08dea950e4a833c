"""How one identity reaches one API server: address, certificates, credentials, proxy.

The ``kubernetes`` package finds them, in a child process that ends with its answer (``connection_worker``): it knows
kubeconfig files, credential plugins, OIDC, the pod's own account and proxies. Imported here it would hold 17 MB for as
long as the agent runs (docs/decisions/0012).
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from nvtopo.errors import ParseError, ReadError, UsageError
from nvtopo.wire.documents import Json, one_line
from nvtopo.wire.files import refuse_what_is_no_file

#: A credential plugin may send a person to a browser.
_DEADLINE_SECONDS: Final = 120.0
#: Credentials are asked for anew so long before they expire, as client-go does, and not more often than that.
_BEFORE_EXPIRY_SECONDS: Final = 300.0
_LEAST_RENEWAL_SECONDS: Final = 30.0


class Pem(msgspec.Struct, frozen=True):
    """Certificates or a key: a file, read for each connection since it may be replaced; or the text itself."""

    path: str = ""
    text: str = ""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One API server as one identity sees it. Empty is "none"."""

    host: str
    """URL without a path."""
    verify: bool = True
    authority: Pem = Pem()
    """The authority that must have signed the server's certificate; by default the system's authorities."""
    server_name: str = ""
    """The name in the server's certificate, if it is not the host."""
    certificate: Pem = Pem()
    key: Pem = Pem()
    proxy: str = ""
    authorization: str = ""
    """The header, if the token is fixed until ``expires_at``."""
    token_file: str = ""
    """A file with a bearer token. Read for each request, because the token is replaced."""
    expires_at: float | None = None
    """When the credentials expire, Unix seconds."""

    def authorization_now(self) -> str:
        """The header; empty where there are no credentials.

        Raises:
            OSError: the token can't be read.
        """
        if not self.token_file:
            return self.authorization
        token = Path(self.token_file).read_text(encoding="ascii", errors="ignore")
        return f"Bearer {''.join(token.split())}"

    def renew_at(self, now: float) -> float | None:
        """When to ask for other credentials, if at all; in Unix seconds, as ``now``."""
        if self.expires_at is None:
            return None
        return max(self.expires_at - _BEFORE_EXPIRY_SECONDS, now + _LEAST_RENEWAL_SECONDS)


class Resolved(msgspec.Struct, frozen=True):
    """What the worker found, or why it found nothing."""

    connection: Connection | None = None
    problem: str = ""
    package_missing: bool = False


_RESOLVED: Final = Json(Resolved, "a connection")


def resolve(kubeconfig: str | None, context: str | None) -> Connection:
    """By that kubeconfig; without one, as the pod's own account, else by ``$KUBECONFIG`` or its default.

    Raises:
        UsageError: the ``kubernetes`` package is not installed.
        ReadError: there is no usable configuration.
    """
    for path in filter(None, (kubeconfig or os.environ.get("KUBECONFIG", "")).split(os.pathsep)):
        refuse_what_is_no_file(path)
    subject = kubeconfig or "Kubernetes configuration"
    resolved = _ask(subject, kubeconfig, context)
    if resolved.package_missing:
        from nvtopo.extras import how_to_install

        raise UsageError(f"kubernetes: the package is not installed: {how_to_install('kubernetes')}")
    if resolved.connection is None:
        raise ReadError(one_line(f"{subject}: {resolved.problem}"))
    return resolved.connection


def _ask(subject: str, kubeconfig: str | None, context: str | None) -> Resolved:
    """The worker's answer, in a memfd: standard input and output stay free for a plugin that asks for a password."""
    with open(os.memfd_create("nvtopo-connection"), "r+b") as answer:  # noqa: PTH123 - it has no path
        question = msgspec.json.encode((answer.fileno(), kubeconfig, context)).decode()
        command = (sys.executable, "-m", "nvtopo.kube.connection_worker", question)
        try:
            done = subprocess.run(command, check=False, timeout=_DEADLINE_SECONDS, pass_fds=(answer.fileno(),))
        except subprocess.TimeoutExpired:
            raise ReadError(f"{subject}: no credentials within {_DEADLINE_SECONDS:g} s") from None
        answer.seek(0)
        try:
            return _RESOLVED.read(answer.read())
        except ParseError:
            raise ReadError(f"{subject}: the process that reads it ended with {done.returncode}") from None
