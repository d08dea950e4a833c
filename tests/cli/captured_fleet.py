"""A fleet of captures: the recorded board of eight, each node with its own name, UUIDs and GUIDs."""

from pathlib import Path

import msgspec

CAPTURE = Path(__file__).resolve().parents[2] / "fixtures" / "hosts" / "hgx-h200-8gpu" / "capture.json"


def write(folder: Path, nodes: int) -> None:
    """One file for each node."""
    capture = msgspec.json.decode(CAPTURE.read_bytes())
    for number in range(nodes):
        capture["host"]["name"] = f"n{number:04}"
        for gpu in capture["nvml"]["gpus"]:
            gpu["uuid"] = f"GPU-{number:08x}-{gpu['index']:04x}-0000-0000-000000000000"
        for position, device in enumerate(capture["rdma"]["devices"]):
            device["nodeGuid"] = f"{number:04x}:{position:04x}:0000:0001"
        (folder / f"n{number:04}.json").write_bytes(msgspec.json.encode(capture))
