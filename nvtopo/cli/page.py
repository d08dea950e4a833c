"""The options of the agent's metrics page: where it listens, and who may read it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvtopo.cli.listen import is_loopback, parse_listen
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.agent.page import Listen
    from nvtopo.agent.protection import Authorize
    from nvtopo.tls import TlsFiles

_FILE = click.Path(dir_okay=False, path_type=Path)


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--tls-cert-file`` and its key: ``tls_of`` takes them."""
    key = click.option("--tls-private-key-file", type=_FILE, help="The certificate's key, PEM.")
    certificate = click.option(
        "--tls-cert-file", type=_FILE, help="Serve HTTPS: a certificate chain, PEM, read anew when it changes."
    )
    return certificate(key(function))


def tls_of(tls_cert_file: Path | None, tls_private_key_file: Path | None) -> "TlsFiles | None":
    """What these options say; None for no TLS.

    Raises:
        UsageError: there is one of the two.
        ReadError: a file can't be used.
    """
    if (tls_cert_file is None) != (tls_private_key_file is None):
        raise UsageError("--tls-cert-file and --tls-private-key-file: expected both or none")
    if tls_cert_file is None or tls_private_key_file is None:
        return None
    from nvtopo.tls import TlsFiles

    return TlsFiles(tls_cert_file, tls_private_key_file)


def page_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--listen`` and what protects it: ``listen_of`` takes them."""
    for option in (
        click.option(
            "--audience",
            "audiences",
            multiple=True,
            default=("nvtopo",),
            show_default=True,
            help="Whom tokens are for that the API server reviews.",
        ),
        click.option(
            "--require-token",
            is_flag=True,
            help="Who scrapes needs a bearer token; the API server reviews it, and the right to get /metrics.",
        ),
        click.option(
            "--bearer-token-file", type=_FILE, help="Tokens, one a line: who has none of them gets no metrics."
        ),
        tls_options,
        click.option(
            "--listen", default="127.0.0.1:9745", show_default=True, help="Address of the metrics page; '' for none."
        ),
    ):
        function = option(function)
    return function


def authorize_of(
    bearer_token_file: Path | None, audiences: tuple[str, ...] | None, kubeconfig: Path | None
) -> "Authorize | None":
    """Who may read the metrics: who has a token of the file, or one for these audiences that the API server knows.

    Raises:
        UsageError: both are asked for.
        ReadError: the file, or the way to the API server, can't be used.
    """
    if bearer_token_file and audiences is not None:
        raise UsageError("--require-token and --bearer-token-file: expected one of them")
    if bearer_token_file:
        from nvtopo.agent.protection import TokenFile

        return TokenFile(bearer_token_file)
    if audiences is None:
        return None
    from nvtopo.agent.review import Reviewed
    from nvtopo.kube.client import connect
    from nvtopo.kube.review import Reviewer

    return Reviewed(Reviewer(connect(kubeconfig), audiences))


def listen_of(
    listen: str, tls_cert_file: Path | None, tls_private_key_file: Path | None, authorize: "Authorize | None"
) -> "Listen | None":
    """What these options say; None for no page.

    Raises:
        UsageError: they do not go together.
        ReadError: a file can't be used.
    """
    if not listen:
        return None
    address, port = parse_listen(listen)
    tls = tls_of(tls_cert_file, tls_private_key_file)
    if authorize and not tls and not is_loopback(address):
        raise UsageError(
            "--require-token, --bearer-token-file: without TLS the token would cross the network in clear:"
            " expected --tls-cert-file, or an address of this host such as 127.0.0.1"
        )
    from nvtopo.agent.page import Listen

    return Listen(address, port, tls, authorize)
