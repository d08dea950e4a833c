"""What is folded comes back as it was, whatever the node; what is unlike its siblings stays with its device."""

import msgspec
from hypothesis import given
from msgspec.structs import fields, replace

from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.spec import Common, GpuCommon, NicCommon, Spec, compact, expand
from tests.kube.machines import hgx
from tests.nfd.hostile import nodes


def published(node: NodeTopology) -> Spec:
    """The node as a reader of the resource gets it."""
    return msgspec.json.decode(msgspec.json.encode(compact(node)), type=Spec)


@given(nodes())
def test_any_node_comes_back(node: NodeTopology) -> None:
    assert expand(published(node)) == node


def test_what_is_common_is_declared_as_with_the_device() -> None:
    for common, device in ((GpuCommon, Gpu), (NicCommon, Nic)):
        own = {field.name: (field.encode_name, field.type, field.default) for field in fields(device)}
        assert own.items() >= {(one.name, (one.encode_name, one.type, one.default)) for one in fields(common)}


def test_a_gpu_unlike_its_siblings_says_so_itself() -> None:
    odd = replace(hgx().gpus[3], mig=True)
    node = replace(hgx(), gpus=(*hgx().gpus[:3], odd, *hgx().gpus[4:]))
    spec = published(node)
    assert spec.common is not None
    assert spec.common.gpus is not None
    assert spec.common.gpus.mig is False
    assert [gpu.mig for gpu in spec.gpus] == [None, None, None, True, None, None, None, None]
    assert expand(spec) == node


def test_nothing_is_said_for_a_gpu_that_is_silent() -> None:
    silent = replace(hgx().gpus[3], fabric=None)
    node = replace(hgx(), gpus=(*hgx().gpus[:3], silent, *hgx().gpus[4:]))
    spec = published(node)
    assert spec.common is not None
    assert spec.common.gpus is not None
    assert spec.common.gpus.fabric is None
    assert expand(spec) == node


def test_one_device_has_nothing_in_common_with_others() -> None:
    node = NodeTopology(gpus=(Gpu(index=0, uuid="GPU-0", mig=False),), nics=(Nic(name="mlx5_0", acs_redirect=False),))
    assert compact(node).common is None


def test_half_of_them_are_not_most_of_them() -> None:
    node = NodeTopology(nics=tuple(Nic(name=f"mlx5_{n}", acs_redirect=n < 2) for n in range(4)))
    assert compact(node).common is None


def test_what_a_gpu_says_itself_stands() -> None:
    own = GpuFabric(state="in-progress")
    common = Common(gpus=GpuCommon(fabric=GpuFabric(state="completed")))
    spec = Spec(gpus=(Gpu(index=0, uuid="GPU-0"), Gpu(index=1, uuid="GPU-1", fabric=own)), common=common)
    assert [gpu.fabric and gpu.fabric.state for gpu in expand(spec).gpus] == ["completed", "in-progress"]
