"""RDMA ports through verbs: facts that neither sysfs nor netlink has, such as the active MTU.

There are two backends with the same answers: pyverbs, if its build fits the system's rdma-core, and libibverbs through
ctypes, whose public calls have been stable for ten years. Without either, only sysfs is read. Nothing is imported or
loaded before the first device is queried, and no device file stays open between queries, so a driver can be upgraded.
"""

import ctypes
import importlib
import os
from typing import Any, Final, NamedTuple, Protocol

LIBRARY: Final = "libibverbs.so.1"

#: ``enum ibv_mtu``.
_MTU_BYTES: Final = {1: 256, 2: 512, 3: 1024, 4: 2048, 5: 4096}


class VerbsError(Exception):
    """A port that should answer does not; the message says what failed and why."""


class VerbsPort(NamedTuple):
    """The facts of a port that verbs give."""

    active_mtu_bytes: int
    """The MTU that RDMA uses on the wire, in bytes; on Ethernet it follows the network device's MTU."""
    max_mtu_bytes: int
    state: int
    """``enum ibv_port_state``: 4 is active. sysfs shows the same number before the state's name."""


class VerbsBackend(Protocol):
    """One way to query a port."""

    def port(self, device: str, number: int) -> VerbsPort:
        """The device's port. Raises VerbsError if it does not answer."""


class PyverbsBackend:
    """rdma-core's own binding. It loads only with the rdma-core that it was built for, as in Debian's packages."""

    def __init__(self, module: Any) -> None:
        """``module`` is ``pyverbs.device``."""
        self._module = module

    def port(self, device: str, number: int) -> VerbsPort:
        """Open, ask, close."""
        try:
            context = self._module.Context(name=device)
            try:
                answer = context.query_port(number)
                return _port(answer.active_mtu, answer.max_mtu, answer.state)
            finally:
                context.close()
        except VerbsError:
            raise
        except Exception as error:
            # pyverbs loses the errno of some failed calls and reports -1, so the message is all there is.
            raise VerbsError(f"pyverbs: {error}") from error


class PortAttributes(ctypes.Structure):
    """``struct _compat_ibv_port_attr``, which the exported ``ibv_query_port`` fills in; its layout never changes."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("state", "max_mtu", "active_mtu", "gid_tbl_len")),
        *((name, ctypes.c_uint32) for name in ("port_cap_flags", "max_msg_sz", "bad_pkey_cntr", "qkey_viol_cntr")),
        *((name, ctypes.c_uint16) for name in ("pkey_tbl_len", "lid", "sm_lid")),
        *((name, ctypes.c_uint8) for name in ("lmc", "max_vl_num", "sm_sl", "subnet_timeout", "init_type_reply")),
        *((name, ctypes.c_uint8) for name in ("active_width", "active_speed", "phys_state", "link_layer", "flags")),
        ("reserve", ctypes.c_uint8 * 64),  # in case the library writes more
    )


class LibibverbsBackend:
    """The C library, through its public calls."""

    def __init__(self, library: Any) -> None:
        """``library`` is libibverbs, loaded with ``use_errno``."""
        self._library = library
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "ibv_get_device_list": (ctypes.POINTER(ctypes.c_void_p), [ctypes.POINTER(ctypes.c_int)]),
            "ibv_free_device_list": (None, [ctypes.POINTER(ctypes.c_void_p)]),
            "ibv_get_device_name": (ctypes.c_char_p, [ctypes.c_void_p]),
            "ibv_open_device": (ctypes.c_void_p, [ctypes.c_void_p]),
            "ibv_close_device": (ctypes.c_int, [ctypes.c_void_p]),
            "ibv_query_port": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint8, ctypes.POINTER(PortAttributes)]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments

    def port(self, device: str, number: int) -> VerbsPort:
        """Open, ask, close."""
        attributes = self.attributes(device, number)
        return _port(attributes.active_mtu, attributes.max_mtu, attributes.state)

    def attributes(self, device: str, number: int) -> PortAttributes:
        """All attributes that the call returns."""
        context = self._opened(device)
        try:
            attributes = PortAttributes()
            status = self._library.ibv_query_port(context, number, ctypes.byref(attributes))
            if status:
                raise VerbsError(f"ibv_query_port: {os.strerror(status)}")
            return attributes
        finally:
            self._library.ibv_close_device(context)

    def _opened(self, device: str) -> int:
        count = ctypes.c_int()
        devices = self._library.ibv_get_device_list(ctypes.byref(count))
        if not devices:
            raise VerbsError(f"ibv_get_device_list: {os.strerror(ctypes.get_errno())}")
        try:
            for index in range(count.value):
                if self._library.ibv_get_device_name(devices[index]) == os.fsencode(device):
                    context = self._library.ibv_open_device(devices[index])
                    if not context:
                        raise VerbsError(f"ibv_open_device: {os.strerror(ctypes.get_errno())}")
                    return int(context)
        finally:
            self._library.ibv_free_device_list(devices)
        raise VerbsError("libibverbs has no such device: is the driver's user space library installed?")


class Chain:
    """Tries several backends in order and returns the first answer."""

    def __init__(self, backends: tuple[VerbsBackend, ...]) -> None:
        self._backends = backends

    def port(self, device: str, number: int) -> VerbsPort:
        """The first answer. Raises VerbsError with the message of each backend if all fail."""
        reasons = []
        for backend in self._backends:
            try:
                return backend.port(device, number)
            except VerbsError as error:
                reasons.append(str(error))
        raise VerbsError("; ".join(reasons))


def backend() -> VerbsBackend | None:
    """The backends that this system has; None if it has neither.

    A pyverbs wheel with its own libibverbs loads everywhere and finds no device, so libibverbs is tried after it.
    """
    found = tuple(way for way in (_pyverbs(), _libibverbs()) if way is not None)
    return Chain(found) if found else None


def _pyverbs() -> PyverbsBackend | None:
    """Import pyverbs, and undo its ``logging.basicConfig`` on the root logger."""
    import logging

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return PyverbsBackend(importlib.import_module("pyverbs.device"))
    except Exception:  # noqa: BLE001 - absent, or built for another rdma-core: either way it is not there
        return None
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _libibverbs(library: str = LIBRARY) -> LibibverbsBackend | None:
    try:
        return LibibverbsBackend(ctypes.CDLL(library, use_errno=True))
    except (OSError, AttributeError):
        return None


def _port(active: int, largest: int, state: int) -> VerbsPort:
    if active not in _MTU_BYTES or largest not in _MTU_BYTES:
        raise VerbsError(f"expected MTUs from 1 to 5, got active {active} and largest {largest}")
    return VerbsPort(_MTU_BYTES[active], _MTU_BYTES[largest], state)
