"""NetworkAttachmentDefinitions, as they stand in a list of ``kubectl get``: what each asks of a node."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from nvtopo.checks.check import Network
from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.formats.printable import printable
from nvtopo.wire.documents import Json

KIND: Final = "NetworkAttachmentDefinition"
RESOURCE: Final = "k8s.v1.cni.cncf.io/resourceName"
_MOST_PLUGINS: Final = 64
_LONGEST: Final = 256


class _Plugin(msgspec.Struct):
    """One CNI configuration; other fields are the plugin's own."""

    type: str = ""
    master: str = ""
    device: str = ""
    mtu: int | None = None


class _Configuration(_Plugin):
    """A plugin, or a list of them, of which the first makes the interface."""

    plugins: Annotated[list[_Plugin], Meta(max_length=_MOST_PLUGINS)] | None = None


_CONFIGURATION: Final = Json(_Configuration, "a CNI configuration")


def network_of(name: str, annotations: dict[str, str], spec: Any) -> Network:
    """The network; of a configuration that can't be read only the resource is known."""
    resource = _shown(annotations.get(RESOURCE))
    shown = _shown(name) or ""
    config = spec.get("config") if isinstance(spec, dict) else None
    try:
        found = _CONFIGURATION.read(config.encode(errors="replace")) if isinstance(config, str) else None
    except ParseError:
        found = None
    if found is None:
        return Network(shown, resource)
    first = found.plugins[0] if found.plugins else found
    mtu = first.mtu if first.mtu is not None and 0 < first.mtu <= limits.HIGHEST_BYTES else None
    return Network(shown, resource, _shown(first.type), _shown(first.master or first.device or None), mtu)


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text[:_LONGEST])
