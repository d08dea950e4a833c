"""NVLinks and C2C links of a GPU, asked in the NVML worker."""

from typing import Any

from nvtopo.sources.nvml.asker import LOST, Asker, Json, Lost, field_values, present, sysfs_address
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.field_values import Key
from nvtopo.sources.nvml.repair import FIELDS, repair

_LINK_COUNT = pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT
_SPEED = pynvml.NVML_FI_DEV_NVLINK_GET_SPEED
_STATE = pynvml.NVML_FI_DEV_NVLINK_GET_STATE
_VERSION = pynvml.NVML_FI_DEV_NVLINK_GET_VERSION
_REMOTE_LINK = pynvml.NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID
_C2C_COUNT = pynvml.NVML_FI_DEV_C2C_LINK_COUNT
_C2C_BANDWIDTH = pynvml.NVML_FI_DEV_C2C_LINK_GET_MAX_BW
_MEGABYTE = 1_000_000

#: NVML_FI_DEV_NVLINK_GET_VERSION counts versions: 4 is NVLink 3.0, 6 is NVLink 4.0 (an A100 answers 5, which is 3.1).
_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
_LINK_STATES = {0: "inactive", 1: "active", 2: "sleep", 3: "traffic-disabled"}
_REMOTES = {0: "gpu", 1: "npu", 2: "switch"}
_NO_SUCH_LINK = frozenset({pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_INVALID_ARGUMENT})
#: Larger than any hardware of today, and small enough to survive a driver that answers nonsense.
_MOST_LINKS = 256
#: Links that a GPU is asked about before it said how many it has: the most that a GPU here had so far.
_links_expected = [18]


def links(asker: Asker, handle: Any) -> Json:
    """NVLink, C2C and what the GPU needs (``repair``) in one batched field query.

    It asks for as many links as any GPU before this one had.

    A second query follows where this GPU has more. A driver before R525 answers no field of a link: then each link is
    asked by calls of its own, up to the first that the GPU does not have. If that fails too, nothing is known of links;
    nor if no field at all was answered and no link either, for then the driver may not tell what there is.
    """
    asked = [_LINK_COUNT, _C2C_COUNT, (_C2C_BANDWIDTH, 0), *FIELDS, *_link_fields(range(_links_expected[0]))]
    fields = field_values(asker, handle, asked)
    count = fields.get((_LINK_COUNT, 0))
    if count is None:
        count = _count_by_calls(asker, handle)
    if count is None or not (count or fields):
        return {"nvlinksUnknown": True} | repair(fields)
    count = min(count, _MOST_LINKS)
    if count > _links_expected[0]:
        fields |= field_values(asker, handle, _link_fields(range(_links_expected[0], count)))
        _links_expected[0] = count
    c2c, bandwidth = fields.get((_C2C_COUNT, 0)), fields.get((_C2C_BANDWIDTH, 0))
    return repair(fields) | {
        "nvlinkCount": count or fields.get((_LINK_COUNT, 0)),
        "nvlinks": [_link(asker, handle, link, fields) for link in range(count)],
        "c2cLinks": c2c or None,
        "c2cBytesPerSecond": bandwidth * _MEGABYTE if c2c and bandwidth else None,
    }


def _link_fields(links: range) -> list[Any]:
    return [(field, link) for link in links for field in (_STATE, _VERSION, _SPEED, _REMOTE_LINK)]


def _count_by_calls(asker: Asker, handle: Any) -> int | None:
    """How many links answer for their state; None, with a problem, if one has another error than "no such link"."""
    for link in range(_MOST_LINKS):
        try:
            pynvml.nvmlDeviceGetNvLinkState(handle, link)
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value in _NO_SUCH_LINK:
                return link
            asker.problem(f"nvmlDeviceGetNvLinkState of link {link}: {error}")
            return None
    return _MOST_LINKS


def _link(asker: Asker, handle: Any, link: int, fields: dict[Key, int]) -> Json:
    number, version = fields.get((_STATE, link)), fields.get((_VERSION, link))
    if number is None:
        number = asker.ask(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        version = asker.ask(pynvml.nvmlDeviceGetNvLinkVersion, handle, link)
    state = _LINK_STATES.get(-1 if number is None else number)
    speed = fields.get((_SPEED, link))
    up = state in ("active", "sleep")
    remote = asker.ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link) if up else None
    pci = asker.ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link) if up else None
    return present(
        {
            "link": link,
            "state": state,
            "version": _VERSIONS.get(-1 if version is None else version),
            "bytesPerSecond": speed * _MEGABYTE if speed and up else None,
            "remote": _REMOTES.get(remote) if remote is not None else None,
            "remotePciBusID": None if pci is None else sysfs_address(pci),
            "remoteLink": fields.get((_REMOTE_LINK, link)) if up else None,
        }
    )
