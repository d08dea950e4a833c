"""Every kind of export: its name, and the text that it is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.taints import Target
from nvtopo.exporters import document as graph_document
from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.schedulers import (
    dra,
    dra_domains,
    dra_taints,
    drawn,
    grove,
    kai,
    koordinator,
    kueue,
    nfd,
    nrt,
    podgroup,
    slinky,
    slurm,
    slurm_gres,
    topograph,
    volcano,
)
from nvtopo.exporters.schedulers.slurm import Wanted
from nvtopo.exporters.schedulers.view import View
from nvtopo.model.formats import yaml


class Export(NamedTuple):
    """What is exported, and how."""

    view: View
    document: GraphDocument
    name: str = "nvtopo"
    """Of the objects, or before their names."""
    namespace: str = "nvtopo"
    slurm: Wanted = Wanted()
    nodes: Mapping[str, GraphNode] = MappingProxyType({})
    """The graph's nodes with all of their facts, for those kinds that need them (``OF_NODES``)."""
    gangs: int = 1
    """How many gangs each NVLink domain admits at a time (``dra-domains``)."""
    taints: Mapping[Target, str] = MappingProxyType({})
    """Which devices are tainted, and for what (``dra-taints``); they follow from more than the graph."""


Objects = Callable[[Export], list[dict[str, Any]]]


def _slurm_yaml(export: Export) -> str:
    return yaml.text_of(slurm.yaml_documents(export.view, export.slurm))


#: Kind → its Kubernetes objects.
OBJECTS: Final[Mapping[str, Objects]] = MappingProxyType(
    {
        "kueue": lambda export: kueue.documents(export.view, export.name),
        "volcano": lambda export: volcano.documents(export.view, export.name),
        "kai": lambda export: kai.documents(export.view, export.name),
        "grove": lambda export: grove.documents(export.view, export.name),
        "koordinator": lambda export: koordinator.documents(export.view, "default"),
        "slinky": lambda export: slinky.documents(export.name, _slurm_yaml(export)),
        "nfd": lambda export: nfd.documents(export.view, export.namespace),
        "topograph": lambda export: topograph.node_features(export.view, export.namespace),
        "koordinator-device": lambda export: koordinator.devices(export.nodes),
        "nrt": lambda export: nrt.documents(export.nodes),
        "dra": lambda export: dra.documents(export.view, export.nodes, export.name),
        "dra-domains": lambda export: dra_domains.documents(export.document, export.nodes, export.name, export.gangs),
        "dra-taints": lambda export: dra_taints.documents(export.taints, export.name),
        "podgroup": lambda export: podgroup.documents(export.view, export.name),
    }
)

#: Kind → its text.
TEXTS: Final[Mapping[str, Callable[[Export], str]]] = MappingProxyType(
    {
        "slurm-tree": lambda export: slurm.tree(export.view, export.slurm),
        "slurm-block": lambda export: slurm.block(export.view, export.slurm),
        "slurm-yaml": _slurm_yaml,
        "slurm-gres": lambda export: slurm_gres.text(export.nodes, export.slurm.names),
        "topograph-old": lambda export: yaml.text_of(topograph.printed(export.view)),
        "json": lambda export: graph_document.pretty(export.document),
        "graphml": lambda export: drawn.graphml(export.view, export.document),
        "dot": lambda export: drawn.dot(export.view, export.document),
    }
)

KINDS: Final = (*OBJECTS, *TEXTS)
OF_NODES: Final = ("koordinator-device", "nrt", "dra", "dra-domains", "dra-taints", "slurm-gres")
"""Kinds that need more of a node than the graph's document has."""


def text(kind: str, export: Export) -> str:
    """The export as one text: objects as a stream of YAML documents, as ``kubectl apply -f -`` takes them."""
    if kind in TEXTS:
        return TEXTS[kind](export)
    return "---\n".join(yaml.text_of(found) for found in OBJECTS[kind](export))
