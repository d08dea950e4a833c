"""Server-sent events: as the standard has them, whatever else is in the stream."""

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.wire.event_stream import Message, messages

TEXT = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b""))


def test_events_with_comments_and_unknown_fields_between() -> None:
    stream = b": hi\n\nevent: change\nid: 7\ndata: {}\nretry: 1\n\n"
    stream += b"data:a\r\ndata: b\r\n\r\nevent: none\n\n: x\nid\n\ndata\n\n"
    assert list(messages(stream.splitlines(keepends=True), "6")) == [
        Message("change", "7", b"{}"),
        Message("message", "7", b"a\nb"),
        Message("message", "", b""),
    ]


def test_an_event_that_is_not_complete_is_none() -> None:
    assert not list(messages([b"event: change\n", b"data: {\n"]))


@given(st.lists(TEXT))
def test_nothing_raises(lines: list[bytes]) -> None:
    for message in messages(line + b"\n" for line in lines):
        assert isinstance(message.event, str)
