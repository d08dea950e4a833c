"""``/v1/jobs`` over HTTP: a right of its own, and never for everybody but on loopback."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.heat_asker import HeatAnswer
from nvtopo.aggregator.heat_watch import HeatWatch
from nvtopo.aggregator.jobs import Jobs
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.rights import JobRight, Right, TopologyRight
from nvtopo.cluster.inventory import Listed
from nvtopo.exporters.heat_readings import Figure
from tests.aggregator.running import PATIENCE, Got, Script, get, looping, running
from tests.aggregator.test_access import Reviews
from tests.exporters.test_job_document import HELD, PODS, TWO

pytestmark = pytest.mark.slow

PATH = "/v1/jobs/team/train"


@contextmanager
def served(*rights: Right, tokens: bool = True, loopback: bool = False, followed: bool = True) -> Iterator[GraphServer]:
    reviews = Reviews()
    reviews.rights.clear()
    reviews.rights |= {("reader", right) for right in rights}
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(TWO))))
        assert aggregator.wait(-1, PATIENCE) is not None
        access = stack.enter_context(Access(Authorizer(reviews, LIFETIMES))) if tokens else None
        jobs = Jobs((lambda: PODS) if followed else None, HELD.get, aggregator, access, for_everybody=loopback)
        yield stack.enter_context(GraphServer(aggregator, access=access, more=jobs.routes))


def ask(server: GraphServer, path: str = PATH, token: str = "good") -> Got:  # noqa: S107
    return get(server, path, {"Authorization": f"Bearer {token}"})


def test_the_right_is_asked_for_by_namespace_and_name() -> None:
    with served(JobRight("get", "team", "train")) as server:
        found = ask(server)
        assert (found.status, [pod["name"] for pod in found.json["pods"]]) == (200, ["w-0", "w-1"])
        refused = ask(server, "/v1/jobs/others/train")
        assert refused.status == 403
        assert 'get jobs.nvtopo.io in namespace "others"' in refused.json["error"]
        assert ask(server, "/v1/jobs/team/other").status == 403
        assert ask(server, "/v1/jobs").status == 403
        assert ask(server, token="other").status == 401  # noqa: S106


def test_a_long_answer_travels_as_gzip_if_the_client_takes_it() -> None:
    with served(JobRight("get", "team", "train")) as server:
        plain = ask(server)
        assert len(plain.body) > 1024
        packed = get(server, PATH, {"Authorization": "Bearer good", "Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["cache-control"] == "no-store"
    assert gzip.decompress(packed.body) == plain.body


def test_the_list_takes_the_right_to_all() -> None:
    with served(JobRight("list")) as server:
        found = ask(server, "/v1/jobs")
        assert found.status == 200
        assert found.json["jobs"][0] == {"namespace": "others", "name": "train", "pods": 1, "nodes": 1}
        assert ask(server).status == 403


def test_who_may_see_the_graph_may_not_see_pods() -> None:
    with served(TopologyRight("list"), TopologyRight("get"), TopologyRight("watch")) as server:
        assert ask(server, "/v1/graph").status == 200
        assert (ask(server).status, ask(server, "/v1/jobs").status) == (403, 403)


@pytest.mark.parametrize("path", [PATH, "/v1/jobs"])
def test_without_tokens_they_are_shown_on_loopback_alone(path: str) -> None:
    with served(tokens=False) as server:
        assert get(server, "/v1/graph").status == 200
        refused = get(server, path)
        assert refused.status == 403
        assert "loopback alone" in refused.json["error"]
    with served(tokens=False, loopback=True) as server:
        assert get(server, path).status == 200


def test_what_is_not_there_is_404_and_an_unknown_parameter_400() -> None:
    with served(tokens=False, loopback=True) as server:
        assert get(server, "/v1/jobs/team/nobody").status == 404
        assert get(server, f"{PATH}?all=1").status == 400
    with served(tokens=False, loopback=True, followed=False) as server:
        refused = get(server, "/v1/jobs")
        assert (refused.status, refused.json["error"]) == (
            404,
            "no pod is followed: the aggregator runs without --gangs",
        )


def test_the_heat_is_asked_for_of_the_nodes_of_the_job_and_of_no_other() -> None:
    asked = []

    def ask(nodes: Iterable[str]) -> HeatAnswer:
        asked.append([*nodes])
        return HeatAnswer({"temperature": {("a", TWO["a"].gpus[0].uuid): Figure(71.0, 2.0)}}, "Prometheus: too late")

    watch = HeatWatch(ask)
    with (
        looping(watch.run),
        running(Script(Listed({**TWO, "c": TWO["a"]}))) as aggregator,
    ):
        assert aggregator.wait(-1, PATIENCE) is not None
        jobs = Jobs(lambda: PODS, HELD.get, aggregator, None, for_everybody=True, heat=watch)
        with GraphServer(aggregator, more=jobs.routes) as server:
            found = get(server, PATH).json
            assert get(server, "/v1/jobs/team/nobody").status == 404
    assert asked == [["a", "b"]]
    heat = found["heat"]
    assert (heat["gpus"], heat["known"], heat["unknown"], heat["worst"]) == (4, 0, "Prometheus: too late", [])
    assert found["pods"][0]["heat"]["GPU0"]["temperature"]["celsius"] == 71.0
    assert found["pods"][0]["heat"]["GPU1"]["temperature"] is None
    assert found["pods"][1]["heat"]["GPU0"]["state"] == "unknown"


def test_without_prometheus_the_heat_is_null() -> None:
    with served(tokens=False, loopback=True) as server:
        found = get(server, PATH).json
    assert found["heat"] is None
    assert {one["heat"] for one in found["pods"]} == {None}


def test_the_review_names_a_resource_of_ours_in_the_namespace() -> None:
    attributes = JobRight("get", "team", "train").attributes["resourceAttributes"]
    assert attributes == {
        "group": "nvtopo.io",
        "resource": "jobs",
        "verb": "get",
        "namespace": "team",
        "name": "train",
    }
    assert "namespace" not in JobRight("list").attributes["resourceAttributes"]
