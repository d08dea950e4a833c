import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.runtime.forked_worker import ForkedWorker, ForkServer
from nvtopo.runtime.line_buffer import LineBuffer, LineTooLong, NotALine


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_pieces_are_lines_wherever_they_were_cut(pieces: list[bytes]) -> None:
    buffer = LineBuffer(200)
    lines = [line for piece in pieces for line in buffer.take(piece)]
    assert b"\n".join([*lines, buffer.rest]) == b"".join(pieces)
    assert not any(b"\n" in line for line in lines)


def test_a_line_without_an_end_has_a_limit() -> None:
    buffer = LineBuffer(4)
    assert buffer.take(b"a long line is fine as long as it ends\nabcd") == [b"a long line is fine as long as it ends"]
    with pytest.raises(LineTooLong):
        buffer.take(b"e")


@pytest.mark.parametrize("first", [b"libnvidia: hello", b"", b"-1", b"\xff", b"9" * 5000, "٣".encode()])
def test_a_worker_that_does_not_say_its_number_first_is_garbled(first: bytes) -> None:
    output, output_end = os.pipe()
    input_, input_end = os.pipe()
    worker = ForkedWorker(ForkServer(["/nowhere"]), input_end, output)
    os.write(output_end, first + b"\n")
    with pytest.raises(NotALine):
        worker.receive()
    assert worker.pid is None
    for descriptor in (output, output_end, input_, input_end):
        os.close(descriptor)


def test_a_line_that_comes_byte_by_byte_is_copied_once() -> None:
    """Copying 16 MiB for each byte would take days."""
    buffer = LineBuffer(1 << 10)
    kept = buffer._rest
    for byte in b"line":
        assert buffer.take(bytes([byte])) == []
    assert buffer._rest is kept
    assert buffer.take(b"\nnext") == [b"line"]
    assert buffer.rest == b"next"
