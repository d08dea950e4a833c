"""What is expected of a machine, from every source in order of precedence: stated, then learned."""

from collections.abc import Iterable

from nvtopo.model.records.expected import Expectation, Expected


def merged(stated: Iterable[Expectation | None], learned: Iterable[Expectation | None]) -> Expected | None:
    """Field by field: the first of ``stated`` that has it, else the largest number that was learned.

    None if nothing is expected.
    """
    said, found = list(filter(None, stated)), list(filter(None, learned))
    values, from_learned = {}, []
    names = zip(Expectation.__struct_fields__, Expectation.__struct_encode_fields__, strict=True)
    for name, shown in names:
        value = next((value for one in said if (value := getattr(one, name)) is not None), None)
        if value is None:
            numbers = [number for one in found if isinstance(number := getattr(one, name), int)]
            value = max(numbers, default=None)
            from_learned += [shown] if numbers else []
        values[name] = value
    made = Expected(**values, learned=tuple(from_learned))
    return None if made == Expected() else made
