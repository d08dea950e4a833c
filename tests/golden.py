"""Golden files: what is printed is compared with a file that a reviewer has seen.

``NVTOPO_UPDATE_GOLDEN=1 pytest …`` writes them anew; the diff is the review.
"""

import os
from pathlib import Path


def check(text: str, golden: Path) -> None:
    """Fail unless ``text`` is what ``golden`` holds."""
    if os.environ.get("NVTOPO_UPDATE_GOLDEN") == "1":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.exists(), f"{golden.name} is missing: NVTOPO_UPDATE_GOLDEN=1 writes it"
    assert text == golden.read_text(encoding="utf-8")
