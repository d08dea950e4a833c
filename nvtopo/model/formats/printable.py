"""Text of other machines, made safe for a terminal."""


def printable(text: str) -> str:
    """``text`` with each character that could move a cursor or change a colour replaced by U+FFFD."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
