from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.formats.config_space import acs_control, ats_enabled, relaxed_ordering


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


@given(st.binary(max_size=4096))
def test_no_chain_of_capabilities_hangs_or_breaks_the_reader(space: bytes) -> None:
    assert relaxed_ordering(space) in (True, False, None)


def test_relaxed_ordering_is_a_bit_of_device_control() -> None:
    space = bytearray(4096)
    space[0x34] = 0x40
    space[0x40:0x42] = bytes((0x01, 0x60))
    space[0x60:0x62] = bytes((0x10, 0x00))
    assert relaxed_ordering(bytes(space)) is False
    space[0x68] = 0x10
    assert relaxed_ordering(bytes(space)) is True
    assert relaxed_ordering(bytes(space[:64])) is None
    assert relaxed_ordering(bytes(4096)) is None


def test_capabilities_that_loop_end() -> None:
    space = bytearray(4096)
    space[0x34] = 0x40
    space[0x41] = 0x40
    assert relaxed_ordering(bytes(space)) is None


def test_a_chain_that_loops_ends() -> None:
    space = bytearray(4096)
    space[0x100:0x104] = (0x0001 | 1 << 16 | 0x100 << 20).to_bytes(4, "little")
    assert acs_control(bytes(space)) is None
