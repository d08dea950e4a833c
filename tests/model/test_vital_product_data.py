from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.formats.vital_product_data import keyword


def block(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + len(content).to_bytes(2, "little") + content


def entry(name: str, value: str) -> bytes:
    return name.encode() + bytes([len(value)]) + value.encode()


DATA = block(0x82, b"An adapter") + block(0x90, entry("PN", "P1") + entry("V3", "abc-123 ")) + b"\x78"


def test_a_keyword_is_found_in_its_block() -> None:
    assert (keyword(DATA, "PN"), keyword(DATA, "V3"), keyword(DATA, "SN")) == ("P1", "abc-123", "")


def test_nothing_is_read_past_the_end_tag() -> None:
    assert keyword(b"\x78" + DATA, "V3") == ""


def test_a_small_block_is_as_long_as_its_tag_says() -> None:
    for length in range(8):
        assert keyword(bytes([0x20 | length]) + b"\x78" * length + DATA, "V3") == "abc-123"


@given(st.binary(max_size=512))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert isinstance(keyword(data, "V3"), str)
