import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address, visible


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:3B:00.0", "0000:3b:00.0"),
        ("3b:00.0", "0000:3b:00.0"),
        ("0000:3b:00.0\n", "0000:3b:00.0"),
        ("10000:e0:06.0", "10000:e0:06.0"),
        ("00010000:E0:06.0", "10000:e0:06.0"),
    ],
)
def test_every_spelling_becomes_sysfs_spelling(text: str, address: str) -> None:
    assert parse_pci_address(text) == address


@pytest.mark.parametrize("text", ["", "virtio2", "pci0000:15", "0000:3b:00", "0000:3b:00.8", "3b:0.0"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not is_pci_address(text)
    with pytest.raises(ValueError, match=r"expected 'dddd:bb:dd\.f'"):
        parse_pci_address(text)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7))
def test_parsing_a_parsed_address_changes_nothing(domain: int, bus: int, device: int, function: int) -> None:
    address = parse_pci_address(f"{domain:08X}:{bus:02X}:{device:02X}.{function}")
    assert parse_pci_address(address) == address
    assert visible(address) == address


def test_the_sentinel_of_a_hidden_switch_is_not_an_address() -> None:
    assert visible(PciAddress("ffffffff:ff:ff.0")) is None
