"""Which version of a group's resource the API server serves."""

from typing import Final

import msgspec

from nvtopo.errors import NotFound
from nvtopo.kube.client import Client
from nvtopo.wire.documents import Json

_MOST_VERSIONS: Final = 16


class _Version(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct):
    versions: list[_Version] = []


class _Resource(msgspec.Struct):
    name: str = ""


class _Resources(msgspec.Struct):
    resources: list[_Resource] = []


_GROUP: Final = Json(_Group, "the versions of an API group")
_RESOURCES: Final = Json(_Resources, "the resources of an API group")


def served(client: Client, group: str, plural: str) -> str:
    """``group/version`` of the first version, in the server's order, that has the resource.

    Raises:
        NotFound: no version has it.
        ApiError: the server did not answer.
        ParseError: its answer is none.
    """
    for version in _GROUP.read(client.get(f"/apis/{group}")).versions[:_MOST_VERSIONS]:
        found = _RESOURCES.read(client.get(f"/apis/{version.group_version}"))
        if any(one.name == plural for one in found.resources):
            return version.group_version
    raise NotFound(f"the API server serves no {plural}.{group} in any version", status=404)
