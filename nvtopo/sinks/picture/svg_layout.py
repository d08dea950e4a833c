"""Where everything of the picture goes. A frame holds what shares a bridge or a switch, as lstopo draws it.

Panels are laid out from their CPUs (``depth`` 0) towards the NVLinks in the middle of the picture, so that the lower
row is the upper one mirrored.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.model.conclusions.distance import Device
from nvtopo.model.conclusions.hierarchy import Branch, NumaBranch
from nvtopo.model.records.node import Accelerator, Gpu, Nvme

TILE: Final = 200
GPU_HEIGHT: Final = 68
NIC_HEIGHT: Final = 46
DRIVES_HEIGHT: Final = 28
GAP: Final = 10
PAD: Final = 12
FRAME_HEAD: Final = 24
PANEL_HEAD: Final = 34
#: Frames without GPUs are stacked up to this height, where no frame with GPUs is higher.
_STACK: Final = 190
_MOST_IN_A_COLUMN: Final = 4

Content = Branch | NumaBranch | tuple[Device, ...]


class Placed(NamedTuple):
    """A box in its place: a panel, a frame, or a tile with one device (of drives with several)."""

    content: Content
    level: int
    """0 a panel, 1 a host bridge, 2 a switch, 3 a switch below a switch; tiles have that of their frame."""
    x: float
    depth: float
    width: float
    height: float

    @property
    def devices(self) -> tuple[Device, ...]:
        """What a tile shows; nothing where it is none."""
        return () if isinstance(self.content, Branch | NumaBranch) else self.content


class Size(NamedTuple):
    """How much room something takes at least."""

    width: float
    height: float


def panel_size(part: NumaBranch) -> Size:
    """The room of a NUMA node's panel."""
    columns = _columns(part)
    width = sum(max(frame_size(bridge).width for bridge in column) for column in columns)
    height = max((_stacked(column) for column in columns), default=0)
    return Size(
        max(width + GAP * (len(columns) - 1), 2 * TILE) + 2 * PAD, PANEL_HEAD + height + (PAD if columns else 0)
    )


def panel(part: NumaBranch, x: float, height: float) -> Iterator[Placed]:
    """The panel and all that is in it, ``height`` high."""
    yield Placed(part, 0, x, 0, panel_size(part).width, height)
    left = x + PAD
    for column in _columns(part):
        width = max(frame_size(bridge).width for bridge in column)
        depth = float(PANEL_HEAD)
        for bridge in column:
            room = frame_size(bridge).height if len(column) > 1 else height - PANEL_HEAD - PAD
            if not _has_gpu(bridge):
                room = frame_size(bridge).height
            yield from _frame(bridge, 1, Placed(bridge, 1, left, depth, width, room))
            depth += room + GAP
        left += width + GAP


def frame_size(branch: Branch) -> Size:
    """The room of a frame with what is in it."""
    own, below = _own_size(branch), [frame_size(inner) for inner in branch.branches]
    boxes = [*([own] if own.width else []), *below]
    width = sum(box.width for box in boxes) + GAP * (len(boxes) - 1)
    return Size(width + 2 * PAD, FRAME_HEAD + max(box.height for box in boxes) + PAD)


def _columns(part: NumaBranch) -> list[list[Branch]]:
    """Host bridges from left to right; those without GPUs are stacked."""
    highest = max((frame_size(bridge).height for bridge in part.bridges if _has_gpu(bridge)), default=0)
    columns: list[list[Branch]] = []
    for bridge in part.bridges:
        fits = columns and _stacked([*columns[-1], bridge]) <= max(highest, _STACK)
        if fits and not _has_gpu(bridge) and not any(map(_has_gpu, columns[-1])):
            columns[-1].append(bridge)
        else:
            columns.append([bridge])
    return columns


def _stacked(column: list[Branch]) -> float:
    return sum(frame_size(bridge).height for bridge in column) + GAP * (len(column) - 1)


def _has_gpu(branch: Branch) -> bool:
    return any(isinstance(device, Gpu | Accelerator) for device in branch.all_devices)


def _frame(branch: Branch, level: int, at: Placed) -> Iterator[Placed]:
    yield at
    inner = at.height - FRAME_HEAD - PAD
    left = at.x + PAD
    own = _own_size(branch)
    if own.width:
        yield from _tiles(branch, level, Placed(branch, level, left, at.depth + FRAME_HEAD, own.width, inner))
        left += own.width + GAP
    for below in branch.branches:
        width = frame_size(below).width
        yield from _frame(below, level + 1, Placed(below, level + 1, left, at.depth + FRAME_HEAD, width, inner))
        left += width + GAP


def _own_size(branch: Branch) -> Size:
    """The room of the tiles that hang directly on a bridge or switch."""
    columns, gpus = _tile_columns(branch)
    if not columns:
        return Size(0, 0)
    highest = max(sum(tile_height(tile) + GAP for tile in column) for column in columns)
    return Size(len(columns) * (TILE + GAP) - GAP, highest + (GPU_HEIGHT if gpus else -GAP))


def _tiles(branch: Branch, level: int, room: Placed) -> Iterator[Placed]:
    """GPUs at the NVLinks' side, what feeds them above."""
    columns, gpus = _tile_columns(branch)
    for position, column in enumerate(columns):
        left, depth = room.x + position * (TILE + GAP), room.depth
        for tile in column:
            yield Placed(tile, level, left, depth, TILE, tile_height(tile))
            depth += tile_height(tile) + GAP
        if position < len(gpus):
            bottom = room.depth + room.height - GPU_HEIGHT
            yield Placed((gpus[position],), level, left, bottom, TILE, GPU_HEIGHT)


def _tile_columns(branch: Branch) -> tuple[list[list[tuple[Device, ...]]], list[Gpu | Accelerator]]:
    gpus = [device for device in branch.devices if isinstance(device, Gpu | Accelerator)]
    drives = tuple(device for device in branch.devices if isinstance(device, Nvme))
    tiles: list[tuple[Device, ...]] = [(d,) for d in branch.devices if not isinstance(d, Gpu | Accelerator | Nvme)]
    tiles += [drives] if drives else []
    count = max(len(gpus), -(-len(tiles) // _MOST_IN_A_COLUMN))
    return [tiles[position::count] for position in range(count)], gpus


def tile_height(devices: tuple[Device, ...]) -> float:
    """The height of a tile that holds these devices."""
    if isinstance(devices[0], Gpu | Accelerator):
        return GPU_HEIGHT
    return DRIVES_HEIGHT if isinstance(devices[0], Nvme) else NIC_HEIGHT
