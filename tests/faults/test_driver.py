"""Faults of the NVIDIA driver: the agent asks the C library of tests/nvml, whose machine changes underneath it."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.faults.node import Agent, Node

pytestmark = pytest.mark.slow

DEADLINE_SECONDS: Final = 2
_PTRACE_SEIZE: Final = 0x4206
#: Facts of the driver alone: no label may claim them while it does not answer.
OF_THE_DRIVER: Final = {"gpu.count", "mig", "nvlink.version", "nvlink.groups", "nvlink.links-per-gpu", "rdma.gdr"}
LAST_GPU: Final = "0000:ca:00.0"
TRAFFIC: Final = "nvtopo_nvlink_transmitted_bytes_total"


def has_the_machine(node: Node, agent: Agent) -> bool:
    """All that is to be known is known, and nothing is wrong."""
    labels = node.labels()
    return (
        labels.get("gpu.count") == "8"
        and labels.get("ready") == "true"
        and agent.value("nvtopo_gpus") == 8
        and agent.value("nvtopo_problems", source="nvml") is None
    )


def claims_nothing(node: Node, agent: Agent) -> bool:
    """Not ready, with a problem, and without a word on GPUs."""
    labels = node.labels()
    return (
        labels.get("ready") == "false"
        and not labels.keys() & OF_THE_DRIVER
        and agent.value("nvtopo_problems", source="nvml") == 1
        and agent.value("nvtopo_gpus") is None
    )


def workers(agent: Agent) -> list[int]:
    """The processes that ask the driver for the agent, those that are dead and not reaped among them."""
    return [child.pid for child in psutil.Process(agent.child.pid).children() if is_worker(child)]


def the_running_worker(agent: Agent) -> int | None:
    """The one that asks; None while another child, which looked up the linker's cache, is not reaped yet."""
    found = workers(agent)
    with contextlib.suppress(OSError):  # it was reaped meanwhile
        running = [pid for pid in found if "worker" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]
        return running[0] if len(running) == len(found) == 1 else None
    return None


def is_worker(child: psutil.Process) -> bool:
    """The linker's cache is looked up by a child too; the dead have no command line."""
    with contextlib.suppress(psutil.Error):
        return child.status() == psutil.STATUS_ZOMBIE or "nvml import worker" in " ".join(child.cmdline())
    return False


@contextlib.contextmanager
def kept(pid: int) -> Iterator[None]:
    """A process that can be killed and not reaped: who traces it, we, has not looked yet (ptrace(2), PTRACE_SEIZE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(_PTRACE_SEIZE, pid, None, None):
        raise OSError(ctypes.get_errno(), "PTRACE_SEIZE")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_no_driver_at_start(node: Node) -> None:
    node.driver.unlink()
    agent = node.start()
    agent.says("cannot read", source="nvml", reason="8 NVIDIA GPUs on the PCI bus and no NVIDIA driver library")
    agent.eventually(lambda: claims_nothing(node, agent), "labels and page without GPUs")
    assert agent.ready(), "what can't be read is no reason to restart the pod"
    node.install_driver()
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs, once the driver is there")
    agent.says("can read again", source="nvml")
    agent.eventually(lambda: agent.value(TRAFFIC, gpu="0", link="0"), "counters, once the driver is there")


def test_a_kernel_module_loaded_later(node: Node) -> None:
    node.driver_is_like(lambda model: model.update(returns={"nvmlInitWithFlags": 9}))
    agent = node.start()
    agent.says("cannot read", source="nvml", subject="driver", reason="kernel module not loaded yet")
    agent.eventually(lambda: claims_nothing(node, agent), "labels and page without GPUs")
    agent.eventually(lambda: agent.value("nvtopo_sampler_problem", reason="driver") == 1, "the sampler's word")
    node.driver_is_like()
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs, once the module is loaded")
    agent.eventually(lambda: agent.value("nvtopo_sampler_up") == 1, "counters")


def test_a_driver_container_that_restarts(node: Node) -> None:
    """The library goes and comes back, and so does the kernel module: nothing of the old driver is said meanwhile."""
    agent = node.start()
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs")
    node.driver.unlink()
    node.driver_is_like(lambda model: model.update(returns={"*": 9}))
    agent.eventually(lambda: claims_nothing(node, agent), "labels and page without GPUs")
    agent.eventually(lambda: agent.value(TRAFFIC, gpu="0", link="0") is None, "no counters of a driver that is gone")
    node.install_driver()
    node.driver_is_like()
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs of the driver that came back")
    agent.eventually(lambda: agent.value(TRAFFIC, gpu="0", link="0"), "its counters")


def test_a_driver_upgraded_underneath(node: Node) -> None:
    """New library, old kernel module: who has the driver open goes on, who opens it is refused until it is reloaded."""
    agent = node.start()
    agent.eventually(lambda: has_the_machine(node, agent) and agent.value(TRAFFIC, gpu="0", link="0"), "the GPUs")
    upgraded = node.driver.with_suffix(".new")
    upgraded.write_bytes(node.driver.read_bytes())
    upgraded.replace(node.driver)
    node.driver_is_like(lambda model: model.update(returns={"nvmlInitWithFlags": 18}))
    agent.says("cannot read", source="nvml", reason="driver/library version mismatch: the driver was upgraded")
    agent.eventually(lambda: claims_nothing(node, agent), "labels and page without GPUs")
    assert agent.value(TRAFFIC, gpu="0", link="0"), "an open session goes on with the old library"
    node.driver_is_like(lambda model: model["system"].update(driver="590.48.01"))
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs of the new driver")


def test_an_nvml_call_that_hangs(node: Node) -> None:
    agent = node.start("--nvml-deadline", str(DEADLINE_SECONDS))
    agent.eventually(lambda: has_the_machine(node, agent) and agent.value(TRAFFIC, gpu="0", link="0"), "the GPUs")
    node.driver_is_like(lambda model: model.update(delays={"nvmlDeviceGetFieldValues": 600_000}))
    agent.says("cannot read", source="nvml", reason=f"no answer within {DEADLINE_SECONDS} s: the driver hangs")
    agent.eventually(lambda: claims_nothing(node, agent), "labels and page without GPUs")
    agent.eventually(lambda: agent.value("nvtopo_sampler_problem", reason="hang") == 1, "the sampler's word")
    assert agent.value(TRAFFIC, gpu="0", link="0") is None
    assert agent.alive()
    node.driver_is_like()
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs, once the driver answers")
    agent.eventually(lambda: agent.value("nvtopo_sampler_up") == 1, "counters")


def test_a_worker_that_the_kernel_keeps(node: Node) -> None:
    """Killed and not gone, as in the driver's uninterruptible sleep: no second one joins it there."""
    node.driver_is_like(lambda model: model.update(delays={"nvmlInitWithFlags": 600_000}))
    agent = node.start("--nvml-deadline", "2", "--sample-interval", "0", "--no-nvml-events")
    worker = agent.eventually(lambda: the_running_worker(agent), "a worker")
    with kept(worker):
        agent.says("cannot read", source="nvml", reason="no answer within 2 s: the driver hangs")
        node.driver_is_like()
        agent.says("cannot read", source="nvml", reason="the last worker is still stuck in the kernel")
        assert workers(agent) == [worker]
        assert node.labels()["ready"] == "false"
    agent.eventually(lambda: has_the_machine(node, agent), "the GPUs, once the kernel let go of the worker")
    agent.eventually(lambda: worker not in workers(agent), "the worker reaped")


def test_a_gpu_that_falls_off_the_bus(node: Node) -> None:
    """Xid 79: still on the PCI bus, and lost to the driver; then gone from the bus as well; then back after a reset."""
    agent = node.start()
    agent.eventually(lambda: has_the_machine(node, agent) and agent.value(TRAFFIC, gpu="3", link="0"), "the GPUs")
    node.driver_is_like(lambda model: model["gpus"][3].update(lost=True))
    agent.says("cannot read", source="nvml", subject="GPU3", reason="GPU is lost")
    agent.says("cannot read", source="nvml", reason="GPU is on the PCI bus and the driver does not answer for it")
    agent.eventually(lambda: node.labels()["gpu.count"] == "7", "seven GPUs")
    assert node.labels()["ready"] == "false"
    agent.eventually(lambda: agent.value("nvtopo_sampler_problem", reason="gpu-lost") == 1, "the sampler's word")
    assert agent.value("nvtopo_gpus") == 7
    assert agent.value(TRAFFIC, gpu="3", link="0") is None
    assert agent.value(TRAFFIC, gpu="4", link="0"), "the others are read all the same"
    node.driver_is_like()
    agent.eventually(lambda: has_the_machine(node, agent), "all GPUs")
    agent.eventually(lambda: agent.value(TRAFFIC, gpu="3", link="0"), "its counters")


def test_a_gpu_that_the_bus_has_lost_too(node: Node) -> None:
    """Then nothing is left to say that there was one, but the count; who remembers more is the aggregator."""
    agent = node.start()
    agent.eventually(lambda: has_the_machine(node, agent) and agent.value(TRAFFIC, gpu="7", link="0"), "the GPUs")
    link = node.root / "sys/bus/pci/devices" / LAST_GPU
    target = link.readlink()
    link.unlink()
    node.driver_is_like(lambda model: model["gpus"][7].update(lost=True, enumerated=False))
    agent.eventually(lambda: node.labels().get("gpu.count") == "7", "seven GPUs")
    agent.eventually(lambda: agent.value(TRAFFIC, gpu="7", link="0") is None, "nothing of the eighth")
    agent.eventually(lambda: agent.value("nvtopo_problems", source="nvml") is None, "no problem left")
    assert agent.said("topology changed", gpus="7")
    link.symlink_to(target)
    node.driver_is_like()
    agent.eventually(lambda: has_the_machine(node, agent), "all GPUs")
