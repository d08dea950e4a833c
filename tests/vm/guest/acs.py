"""``acs VALUE ADDRESS...``: writes the ACS control word of PCI bridges; prints the word before and after, in JSON.

A bridge without the capability is left out. The kernel turns redirection on by itself where an IOMMU is on.
"""

import json
import struct
import sys
from pathlib import Path
from typing import Final

_FIRST: Final = 0x100
_ACS: Final = 0x0D
_CONTROL: Final = 6


def _offset(config: bytes) -> int | None:
    at = _FIRST
    while at >= _FIRST and at + 4 <= len(config):
        (head,) = struct.unpack_from("<I", config, at)
        if head & 0xFFFF == _ACS:
            return at + _CONTROL
        at = head >> 20
    return None


def main(value: int, addresses: list[str]) -> None:
    """Of each, in the order given."""
    found = {}
    for address in addresses:
        file = Path(f"/sys/bus/pci/devices/{address}/config")
        config = file.read_bytes()
        at = _offset(config)
        if at is None:
            continue
        (before,) = struct.unpack_from("<H", config, at)
        with file.open("r+b", buffering=0) as opened:
            opened.seek(at)
            opened.write(struct.pack("<H", value))
        (after,) = struct.unpack_from("<H", file.read_bytes(), at)
        found[address] = [before, after]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1], 0), sys.argv[2:])
