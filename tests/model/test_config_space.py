from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.config_space import acs_control, ats_enabled


def config(*capabilities: tuple[int, int, int]) -> bytes:
    """Configuration space with extended capabilities (offset, capability, control word), chained in order."""
    space = bytearray(4096)
    for (offset, capability, control), following in zip(capabilities, (*capabilities[1:], (0, 0, 0)), strict=True):
        space[offset : offset + 4] = (capability | 1 << 16 | following[0] << 20).to_bytes(4, "little")
        space[offset + 6 : offset + 8] = control.to_bytes(2, "little")
    return bytes(space)


def test_capabilities_are_found_along_the_chain() -> None:
    space = config((0x100, 0x0001, 0), (0x148, 0x000D, 0x001D), (0x1F0, 0x000F, 0x8000))
    assert acs_control(space) == 0x1D
    assert ats_enabled(space) is True


def test_what_is_not_there_is_none() -> None:
    assert acs_control(config((0x100, 0x0001, 0))) is None
    assert acs_control(bytes(256)) is None
    assert acs_control(b"\xff" * 4096) is None


@given(st.binary(max_size=4096))
def test_no_configuration_space_hangs_or_breaks_the_reader(space: bytes) -> None:
    assert acs_control(space) is None or isinstance(acs_control(space), int)


def test_a_chain_that_loops_ends() -> None:
    space = bytearray(4096)
    space[0x100:0x104] = (0x0001 | 1 << 16 | 0x100 << 20).to_bytes(4, "little")
    assert acs_control(bytes(space)) is None
