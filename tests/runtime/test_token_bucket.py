from hypothesis import given
from hypothesis import strategies as st

from nvtopo.runtime.token_bucket import TokenBucket


def test_a_burst_and_then_a_rate() -> None:
    bucket = TokenBucket(burst=3, per_second=2)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.seconds_until_next(10.0) == 0.5
    assert [bucket.take(10.5), bucket.take(10.5)] == [True, False]


def test_rest_saves_no_more_than_a_burst() -> None:
    bucket = TokenBucket(burst=3, per_second=2)
    assert bucket.take(0.0)
    assert bucket.available(1000.0) == 3


@given(st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(burst=5, per_second=2), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
    assert taken <= 5 + 2 * now + 1e-6
