"""What every way to ask an RDMA port says of it, as JSON: run in the guest, compared on the host."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from unittest import mock

from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma import devices as rdma
from nvtopo.sources.rdma import verbs
from nvtopo.sources.sysfs import SysfsRoot

#: Fields that pyverbs and the C struct name alike.
_FIELDS: Final = (
    *("state", "max_mtu", "active_mtu", "gid_tbl_len", "port_cap_flags", "bad_pkey_cntr", "qkey_viol_cntr"),
    *("pkey_tbl_len", "lid", "sm_lid", "lmc", "max_vl_num", "sm_sl", "subnet_timeout", "init_type_reply"),
    *("active_width", "active_speed", "phys_state", "link_layer", "flags"),
)


def main() -> None:
    """Print the report of all devices."""
    devices = sorted(path.name for path in Path("/sys/class/infiniband").iterdir())
    chain, pyverbs, libibverbs = verbs.backend(), verbs._pyverbs(), verbs._libibverbs()
    assert chain is not None
    assert pyverbs is not None
    assert libibverbs is not None
    report = {
        "ports": {
            device: {
                "chain": chain.port(device, 1),
                "pyverbs": pyverbs.port(device, 1),
                "libibverbs": libibverbs.port(device, 1),
                "pyverbsFields": _pyverbs_fields(device),
                "libibverbsFields": _struct_fields(libibverbs, device),
                "sysfsState": int(Path(f"/sys/class/infiniband/{device}/ports/1/state").read_text()[0]),
                "devinfo": _devinfo(device),
            }
            for device in devices
        },
        "facts": {
            "pyverbs": _facts(pyverbs),
            "libibverbs": _facts(libibverbs),
            "sysfs": _facts(None),
        },
    }
    json.dump(report, sys.stdout)


def _pyverbs_fields(device: str) -> dict[str, int]:
    with importlib.import_module("pyverbs.device").Context(name=device) as context:
        attributes = context.query_port(1)
        return {name: getattr(attributes, name) for name in _FIELDS}


def _struct_fields(libibverbs: verbs.LibibverbsBackend, device: str) -> dict[str, int]:
    attributes = libibverbs.attributes(device, 1)
    return {name: getattr(attributes, name) for name in _FIELDS}


def _devinfo(device: str) -> dict[str, Any]:
    """``ibv_devinfo``: rdma-core's own program."""
    text = subprocess.run(("ibv_devinfo", "-v", "-d", device), capture_output=True, check=True, text=True).stdout
    mtu = re.search(r"active_mtu:\s+(\d+)", text)
    gids = re.findall(r"GID\[\s*(\d+)\]:\s+(\S+), (.+)", text)
    return {"activeMtu": int(mtu[1]) if mtu else None, "gids": [(int(index), gid, kind) for index, gid, kind in gids]}


def _facts(backend: verbs.VerbsBackend | None) -> Any:
    """What the source reads where this is the way to ask."""
    with mock.patch.object(verbs, "backend", return_value=backend):
        reading = rdma.read(Machine(root=SysfsRoot(), nvml=NoNvml()))
    assert not reading.problems, reading.problems
    import msgspec

    return msgspec.to_builtins(reading.facts)


if __name__ == "__main__":
    main()
