"""The options of the agent's metrics page: where it listens, and who may read it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nvtopo.auth.hosts import is_loopback
from nvtopo.auth.rights import AUDIENCE
from nvtopo.cli.listen import parse_listen
from nvtopo.cli.option_group import option_group
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.agent.http.page import Listen
    from nvtopo.auth.decision import Authorize
    from nvtopo.kube.client import Client
    from nvtopo.tls import TlsFiles

_FILE = FilePath(dir_okay=False, path_type=Path)


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--tls-cert-file`` and its key, for ``tls_of``."""
    key = click.option("--tls-private-key-file", type=_FILE, help="Private key of the certificate, in PEM.")
    certificate = click.option(
        "--tls-cert-file", type=_FILE, help="Serve HTTPS with this certificate chain in PEM; reloaded when it changes."
    )
    return certificate(key(function))


def audience_option(help_line: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--audience``, as ``audiences``."""
    return click.option(
        "--audience", "audiences", multiple=True, default=(AUDIENCE,), show_default=True, help=help_line
    )


def tls_of(tls_cert_file: Path | None, tls_private_key_file: Path | None) -> "TlsFiles | None":
    """The certificate and key that these options name; None for no TLS.

    Raises:
        UsageError: only one of the two is given.
        ReadError: a file can't be used.
    """
    if (tls_cert_file is None) != (tls_private_key_file is None):
        raise UsageError("--tls-cert-file and --tls-private-key-file: expected both or none")
    if tls_cert_file is None or tls_private_key_file is None:
        return None
    from nvtopo.tls import TlsFiles

    return TlsFiles(tls_cert_file, tls_private_key_file)


class PageOptions(NamedTuple):
    """Where the metrics page listens, and who may read it."""

    listen: str = "127.0.0.1:9745"
    tls_cert_file: Path | None = None
    tls_private_key_file: Path | None = None
    bearer_token_file: Path | None = None
    require_token: bool = False
    audiences: tuple[str, ...] = (AUDIENCE,)

    def listen_with(self, api: "Callable[[], Client]") -> "Listen | None":
        """As ``listen_of``; ``api`` connects to the API server if it has to review tokens."""
        authorize = authorize_of(self.bearer_token_file, self.audiences if self.require_token else None, api)
        return listen_of(self.listen, self.tls_cert_file, self.tls_private_key_file, authorize)


page_options = option_group(
    "page",
    PageOptions,
    click.option(
        "--listen",
        default=PageOptions().listen,
        show_default=True,
        help="Address of the metrics page, as HOST:PORT; '' for no page.",
    ),
    tls_options,
    click.option("--bearer-token-file", type=_FILE, help="Require one of the tokens in this file, one on each line."),
    click.option(
        "--require-token",
        is_flag=True,
        help="Require a bearer token whose account may get /metrics; the API server reviews both.",
    ),
    audience_option("Audience that tokens must name with --require-token. May be repeated."),
)


def authorize_of(
    bearer_token_file: Path | None, audiences: tuple[str, ...] | None, api: "Callable[[], Client]"
) -> "Authorize | None":
    """What checks who may read the metrics: the tokens in a file, or the API server's review; None for no check.

    Raises:
        UsageError: both are given.
        ReadError: the file or the Kubernetes configuration can't be used.
    """
    if bearer_token_file and audiences is not None:
        raise UsageError("--require-token and --bearer-token-file: expected one of the two, got both")
    if bearer_token_file:
        from nvtopo.auth.token_file import TokenFile

        return TokenFile(bearer_token_file)
    if audiences is None:
        return None
    from nvtopo.agent.http.scrape import LIFETIMES, scrapers
    from nvtopo.auth.authorizer import Authorizer
    from nvtopo.auth.reviews import Reviewer

    return scrapers(Authorizer(Reviewer(api(), audiences), LIFETIMES))


def listen_of(
    listen: str, tls_cert_file: Path | None, tls_private_key_file: Path | None, authorize: "Authorize | None"
) -> "Listen | None":
    """Where and how the metrics page is served; None for no page.

    Raises:
        UsageError: the options contradict each other.
        ReadError: a file can't be used.
    """
    if not listen:
        return None
    address, port = parse_listen(listen)
    tls = tls_of(tls_cert_file, tls_private_key_file)
    if authorize and not tls and not is_loopback(address):
        raise UsageError(
            "--require-token, --bearer-token-file: without TLS, tokens would cross the network unencrypted:"
            " expected --tls-cert-file, or a loopback address such as 127.0.0.1"
        )
    from nvtopo.agent.http.page import Listen

    return Listen(address, port, tls, authorize)
