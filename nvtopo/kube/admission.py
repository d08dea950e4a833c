"""Whether the admission policies that hold our pods to their own nodes are in force, by the API server's own word."""

from collections.abc import Mapping, Sequence
from typing import Final

from nvtopo.errors import ApiError, NotFound, ParseError
from nvtopo.kube.client import Client
from nvtopo.model.records.record import Record
from nvtopo.wire.documents import Json

#: As `daemonset/admission.yaml` calls them, each with a binding of the same name.
POLICIES: Final = ("nvtopo-agent", "nvtopo-agent-events")
_GROUP: Final = "/apis/admissionregistration.k8s.io/v1"
_POLICIES: Final = "validatingadmissionpolicies"
_BINDINGS: Final = "validatingadmissionpolicybindings"
_SECONDS: Final = 10.0


class _Resource(Record, frozen=True, kw_only=True):
    name: str = ""


class _Resources(Record, frozen=True, kw_only=True):
    resources: tuple[_Resource, ...] = ()


class _PolicySpec(Record, frozen=True, kw_only=True):
    failure_policy: str = "Fail"


class _Policy(Record, frozen=True, kw_only=True):
    spec: _PolicySpec = _PolicySpec()


class _BindingSpec(Record, frozen=True, kw_only=True):
    policy_name: str = ""
    validation_actions: tuple[str, ...] = ()


class _Binding(Record, frozen=True, kw_only=True):
    spec: _BindingSpec = _BindingSpec()


_RESOURCES: Final = Json(_Resources, "an APIResourceList")
_POLICY: Final = Json(_Policy, "a ValidatingAdmissionPolicy")
_BINDING: Final = Json(_Binding, "a ValidatingAdmissionPolicyBinding")


def look(client: Client, more: Sequence[str] = ()) -> tuple[Mapping[str, bool], str]:
    """Policy → whether it is missing; one that is not in there is not known, and the text says why.

    Of ``POLICIES`` and of ``more``, which components bring.

    Missing is a policy that stops nobody: itself or its binding is not there, the binding does not deny, or the policy
    lets pass what it can't evaluate.
    """
    try:
        if not _served(client):
            return {}, "the API server has no ValidatingAdmissionPolicy (Kubernetes 1.30 or newer)"
        return {name: _missing(client, name) for name in dict.fromkeys((*POLICIES, *more))}, ""
    except (ApiError, ParseError) as error:
        return {}, str(error)


def _served(client: Client) -> bool:
    """Asked for by itself: a policy that is not there and a collection that is not there are both 404."""
    try:
        listed = _RESOURCES.read(client.get(_GROUP, seconds=_SECONDS))
    except NotFound:
        return False
    return {_POLICIES, _BINDINGS} <= {resource.name for resource in listed.resources}


def _missing(client: Client, name: str) -> bool:
    try:
        policy = _POLICY.read(client.get(f"{_GROUP}/{_POLICIES}/{name}", seconds=_SECONDS))
        binding = _BINDING.read(client.get(f"{_GROUP}/{_BINDINGS}/{name}", seconds=_SECONDS))
    except NotFound:
        return True
    bound = binding.spec.policy_name == name and "Deny" in binding.spec.validation_actions
    return not bound or policy.spec.failure_policy != "Fail"
