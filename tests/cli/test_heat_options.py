"""The Prometheus that is asked for heat: what is typed wrong is said in one line, and who asks for what."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.cli.load_queries import LoadOptions, asked
from nvtopo.errors import UsageError

URL = "http://127.0.0.1:9090"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--prometheus", URL), "pods: --prometheus: expected --job too"),
        (("--job", "a/b", "--prometheus", "prom:9090"), "pods: --prometheus: expected a URL such as"),
        (("--job", "a/b", "--prometheus-token-file", __file__), "pods: expected --prometheus URL with its token"),
    ],
)
def test_what_is_typed_wrong_is_said(words: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(main, ["pods", *words], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(says)


def test_the_aggregator_asks_for_heat_where_it_shows_jobs() -> None:
    loads, heat = asked(LoadOptions(URL), for_jobs=True)
    assert loads is None
    assert heat is not None
    loads, heat = asked(LoadOptions(URL, queue_depth_query="up"), for_jobs=True)
    assert loads is not None
    assert heat is not None
    loads, heat = asked(LoadOptions(URL, queue_depth_query="up"), for_jobs=False)
    assert loads is not None
    assert heat is None
    assert asked(LoadOptions(), for_jobs=True) == (None, None)


@pytest.mark.parametrize(
    ("load", "for_jobs", "says"),
    [
        (LoadOptions(URL), False, "expected --queue-depth-query or --cache-hit-query too"),
        (LoadOptions("prom:9090"), True, "expected a URL such as"),
        (LoadOptions(prometheus_token_file=Path("t")), True, "expected --prometheus URL with its queries and its"),
    ],
)
def test_an_aggregator_that_would_ask_nothing_is_refused(load: LoadOptions, says: str, *, for_jobs: bool) -> None:
    with pytest.raises(UsageError, match=says):
        asked(load, for_jobs=for_jobs)
