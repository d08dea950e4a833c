"""Documents that nvtopo prints, as tests read them."""

from typing import Any

import msgspec

from nvtopo.model.records.spec import Spec, expand


def facts(document: Any) -> Any:
    """The ``spec`` of a document with everything said with its device, as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(expand(msgspec.convert(document["spec"], Spec))))
