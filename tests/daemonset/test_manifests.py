"""What is shipped in `daemonset/`, read as a security team would read it."""

import re
from typing import Any, Final

import click
import pytest
import yaml

import nvtopo
from nvtopo.cli import main as program
from nvtopo.sinks.publish.nfd import FEATURES_D
from tests.daemonset import shipped
from tests.daemonset.shipped import COMPONENTS, DAEMONSET, Json

pytestmark = pytest.mark.slow

REPOSITORY: Final = DAEMONSET.parent
#: Everything at once, but for what contradicts: the rules below hold for any choice.
CHOICES: Final = [(), *((name,) for name in COMPONENTS), COMPONENTS]
SOCKETS: Final = "/var/run/nvtopo"
KINDS: Final = {
    "Namespace": 1,
    "CustomResourceDefinition": 1,
    "ServiceAccount": 2,
    "ClusterRole": 6,
    "ClusterRoleBinding": 2,
    "Role": 2,
    "ConfigMap": 1,
    "RoleBinding": 1,
    "PriorityClass": 1,
    "ValidatingAdmissionPolicy": 3,
    "ValidatingAdmissionPolicyBinding": 3,
    "NetworkPolicy": 2,
    "DaemonSet": 1,
    "Deployment": 1,
    "Service": 2,
    "PodDisruptionBudget": 1,
}
choices = pytest.mark.parametrize("names", CHOICES, ids=lambda names: "+".join(names) or "base")


@pytest.fixture
def agent() -> Json:
    return shipped.one(shipped.base(), "DaemonSet", "nvtopo-agent")


@pytest.fixture
def aggregator() -> Json:
    return shipped.one(shipped.base(), "Deployment", "nvtopo-aggregator")


def test_base_is_these_objects_and_no_more() -> None:
    kinds = [document["kind"] for document in shipped.base()]
    assert {kind: kinds.count(kind) for kind in kinds} == KINDS


def test_every_manifest_is_part_of_what_is_applied() -> None:
    listed = set(yaml.safe_load((DAEMONSET / "kustomization.yaml").read_text())["resources"])
    not_objects = {"kustomization.yaml", "Chart.yaml", "values.yaml"}
    assert listed == {path.name for path in DAEMONSET.glob("*.yaml")} - not_objects


def test_no_two_objects_have_one_name() -> None:
    names = [
        (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
        for document in shipped.with_components(COMPONENTS)
    ]
    assert len(names) == len(set(names))


@choices
def test_every_container_is_confined(names: tuple[str, ...]) -> None:
    for name, pod, container in shipped.containers(shipped.with_components(names)):
        context = {**pod["securityContext"], **container["securityContext"]}
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["privileged"] is False, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert context["capabilities"]["drop"] == ["ALL"], name
        capabilities = {"acs": "SYS_ADMIN", "lldp": "NET_RAW"}
        added = [capabilities[one] for one in names if one in capabilities] if name == "nvtopo-agent/agent" else []
        added = ["CHOWN"] if name in ("nvtopo-agent/features-dir", "nvtopo-agent/dranet-dir") else added
        assert context["capabilities"].get("add", []) == added, name
        reads_as_root = name == "nvtopo-agent/agent" and {"acs", "lldp", "pods"} & set(names)
        root = name in ("nvtopo-agent/features-dir", "nvtopo-agent/dranet-dir", "nvtopo-dra/dra") or bool(reads_as_root)
        assert (context["runAsNonRoot"], context["runAsUser"] == 0) == (not root, root), name


def test_the_plugin_has_the_kubelet_s_folder_and_is_replaced_without_a_gap() -> None:
    plugin = shipped.one(shipped.with_components(("dra",)), "DaemonSet", "nvtopo-dra")
    pod = shipped.pod_of(plugin)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    (folder,) = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
    (container,) = pod["containers"]
    options = {option.name: option.default for option in _verb("dra-driver").params}
    assert folder == container["volumeMounts"][0]["mountPath"] == str(options["plugins_dir"])
    assert {variable["name"] for variable in container["env"]} <= _variables("dra-driver")
    assert f"{folder}/topo.nvtopo.io-$POD_UID-reg.sock" in container["readinessProbe"]["exec"]["command"][-1]
    assert plugin["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "10%"}


@choices
def test_pods_share_nothing_with_the_host_but_the_agent_its_network(names: tuple[str, ...]) -> None:
    objects = shipped.with_components(names)
    agent = shipped.pod_of(shipped.one(objects, "DaemonSet", "nvtopo-agent"))
    aggregator = shipped.pod_of(shipped.one(objects, "Deployment", "nvtopo-aggregator"))
    assert (agent["hostNetwork"], agent["hostPID"], agent["hostIPC"]) == (True, False, False)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & aggregator.keys()
    assert [volume for volume in aggregator["volumes"] if "hostPath" in volume] == []


@choices
def test_only_the_directories_of_features_and_of_a_socket_can_be_written(names: tuple[str, ...]) -> None:
    pod = shipped.pod_of(shipped.one(shipped.with_components(names), "DaemonSet", "nvtopo-agent"))
    of_host = {volume["name"]: volume["hostPath"] for volume in pod["volumes"] if "hostPath" in volume}
    for container in (*pod["initContainers"], *pod["containers"]):
        writable = [
            mount for mount in container["volumeMounts"] if mount["name"] in of_host and not mount.get("readOnly")
        ]
        own = {"features-dir": [str(FEATURES_D)], "dranet-dir": [SOCKETS]}
        both = [str(FEATURES_D), SOCKETS] if "dranet-provider" in names else [str(FEATURES_D)]
        assert [mount["mountPath"] for mount in writable] == own.get(container["name"], both)
    assert of_host["features"] == {"path": str(FEATURES_D), "type": "DirectoryOrCreate"}


def test_token_is_in_the_container_that_speaks_to_the_api_server_and_in_no_other() -> None:
    objects = shipped.base()
    assert all(each["automountServiceAccountToken"] is False for each in objects if each["kind"] == "ServiceAccount")
    holders = [
        name
        for name, pod, container in shipped.containers(objects)
        if pod["automountServiceAccountToken"] is not False
        or "token" in [mount["name"] for mount in container["volumeMounts"]]
    ]
    assert holders == ["nvtopo-agent/agent", "nvtopo-aggregator/aggregator"]


def test_one_image_everywhere_of_this_version() -> None:
    images = {container["image"] for _, _, container in shipped.containers(shipped.base())}
    assert images == {f"nvtopo:{nvtopo.__version__}"}


def test_nothing_but_the_image_names_a_place_to_pull_from() -> None:
    for path in DAEMONSET.rglob("*.yaml"):
        if path.name != "crd.yaml":
            images = re.findall(r"image: *(\S+)", path.read_text())
            assert all("/" not in image for image in images), path


@choices
def test_arguments_are_options_of_the_program(names: tuple[str, ...]) -> None:
    for name, _, container in shipped.containers(shipped.with_components(names)):
        if "command" in container:
            continue
        verb, *arguments = container["args"]
        known = _options(verb)
        assert all(argument.partition("=")[0] in known for argument in arguments), name


def test_environment_is_what_the_program_reads(agent: Json, aggregator: Json) -> None:
    foreign = {"HOST_IP", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}  # of the arguments and of the runtime
    for workload, verb in ((agent, "agent"), (aggregator, "aggregator")):
        (container,) = shipped.pod_of(workload)["containers"]
        names = {variable["name"] for variable in container["env"]}
        assert names - foreign <= _variables(verb)
    sources = {
        variable["name"]: variable["valueFrom"]["fieldRef"]["fieldPath"]
        for variable in shipped.pod_of(agent)["containers"][0]["env"]
        if "valueFrom" in variable
    }
    assert sources == {"NODE_NAME": "spec.nodeName", "HOST_IP": "status.hostIP"}


def test_agent_listens_on_the_node_s_own_address_alone(agent: Json) -> None:
    (container,) = shipped.pod_of(agent)["containers"]
    assert container["args"] == ["agent", "--listen=$(HOST_IP):9745"]
    assert container["ports"][0]["containerPort"] == container["ports"][0]["hostPort"] == 9745


def test_probes_ask_what_the_programs_answer() -> None:
    for name, _, container in shipped.containers(shipped.base()):
        if name.endswith("features-dir"):
            continue
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        listen = next(argument for argument in container["args"] if argument.startswith("--listen="))
        probes = {kind: probe["httpGet"] for kind, probe in container.items() if kind.endswith("Probe")}
        assert {probe["path"] for probe in probes.values()} == {"/healthz", "/readyz"}, name
        assert probes["livenessProbe"]["path"] == "/healthz", name
        assert all(str(ports[probe["port"]]) == listen.rpartition(":")[2] for probe in probes.values()), name


def test_a_release_reaches_a_tenth_of_the_fleet_at_a_time(agent: Json, aggregator: Json) -> None:
    assert agent["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%", "maxSurge": 0}
    assert agent["spec"]["minReadySeconds"] > 0
    assert aggregator["spec"]["replicas"] == 2
    assert aggregator["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_agent_never_evicts_what_it_watches() -> None:
    priority = shipped.one(shipped.base(), "PriorityClass", "nvtopo")
    assert (priority["preemptionPolicy"], priority["globalDefault"]) == ("Never", False)
    for _, pod, container in shipped.containers(shipped.base()):
        assert pod["priorityClassName"] == "nvtopo"
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "cpu" not in container["resources"]["limits"]


def test_selectors_find_what_they_mean() -> None:
    objects = shipped.with_components(COMPONENTS)
    for service in (each for each in objects if each["kind"] in ("Service", "PodDisruptionBudget")):
        selector = service["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        component = selector["app.kubernetes.io/component"]
        kind = "DaemonSet" if component == "agent" else "Deployment"
        workload = shipped.one(objects, kind, f"nvtopo-{component}")
        assert selector == workload["spec"]["template"]["metadata"]["labels"]
        assert selector == workload["spec"]["selector"]["matchLabels"]
    for monitor in (each for each in objects if each["kind"] == "ServiceMonitor"):
        service = shipped.one(objects, "Service", monitor["metadata"]["name"])
        assert monitor["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
        tells_of_pods = monitor["metadata"]["name"] == "nvtopo-agent"
        assert {endpoint.get("honorLabels", False) for endpoint in monitor["spec"]["endpoints"]} == {tells_of_pods}


#: ConfigMaps that a role may reach: by name, and reservations are made anew.
OWN_CONFIG_MAPS = {
    "nvtopo-aggregator": {("nvtopo-reservations",), ("nvtopo-accepted",)},
    "nvtopo-acceptor": {("nvtopo-accepted",)},
}


#: Roles that delete what an admission policy leaves them, and nothing else.
BY_POLICY: Final = {
    "nvtopo-dra": "resourceslices",  # of its own node
    "nvtopo-aggregator-domains": "resourceslices",  # of domains
    "nvtopo-aggregator-taints": "devicetaintrules",  # of single devices
    "nvtopo-aggregator-gang-holders": "pods",  # that hold claims of gangs
}


def _is_excepted(document: Json, rule: Json) -> bool:
    """Own ConfigMaps by name, a resource that stands for a right only, and what the aggregator keeps applied."""
    name = document["metadata"]["name"]
    if name == "nvtopo-aggregator-exports":
        return "secrets" not in rule["resources"] and not {"impersonate", "escalate", "bind"} & {*rule["verbs"]}
    if rule["resources"] == ["configmaps"]:
        named = tuple(rule.get("resourceNames", ()))
        made = rule["verbs"] == ["create"] and name == "nvtopo-aggregator"
        return made or (named in OWN_CONFIG_MAPS.get(name, ()) and {*rule["verbs"]} <= {"get", "update", "patch"})
    if name in BY_POLICY:
        return bool(rule["resources"] == [BY_POLICY[name]])
    if name == "nvtopo-aggregator-gang-claims":  # those that it made itself, by its admission policy
        return bool(
            rule["resources"] == ["resourceclaims"] and {*rule["verbs"]} <= {"get", "list", "watch", "create", "delete"}
        )
    return bool(name == "nvtopo-placer" and rule["resources"] == ["placements"])


def test_no_rule_has_a_wildcard_and_none_reaches_a_secret_or_a_pod_of_others() -> None:
    for document in shipped.with_components(COMPONENTS):
        for rule in document.get("rules", ()) if "Role" in document["kind"] else ():
            words = {word for key in ("apiGroups", "resources", "verbs") for word in rule.get(key, ())}
            assert "*" not in words
            never = {"secrets", "configmaps", "impersonate", "escalate", "bind", "delete"}
            assert not words & never or _is_excepted(document, rule)
            if document["metadata"]["name"] == "nvtopo-aggregator-gangs":  # which never deletes or makes one
                assert rule["resources"] in (["pods"], ["pods/status"], ["nodes"])
                assert {*rule["verbs"]} <= {"list", "watch"} | ({"patch"} if rule["resources"] != ["nodes"] else set())
            elif document["metadata"]["name"] == "nvtopo-aggregator-gang-holders":
                assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "create", "delete"]}
            elif "pods" in words:  # the sign of life: the aggregator's own namespace, and only to look
                assert (document["kind"], document["metadata"]["name"]) == ("Role", "nvtopo-aggregator")
                assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}


@pytest.mark.parametrize(
    "name",
    [
        "nvtopo-agent",
        "nvtopo-agent-events",
        "nvtopo-aggregator-events",
        "nvtopo-aggregator-domains",
        "nvtopo-aggregator-taints",
        "nvtopo-aggregator-gangs",
        "nvtopo-aggregator-gang-claims",
        "nvtopo-aggregator-gang-holders",
        "nvtopo-dra",
    ],
)
def test_policy_is_closed_and_bound(name: str) -> None:
    objects = shipped.with_components(("dra", "dra-domains", "dra-taints", "gangs", "gang-claims", "gang-holders"))
    policy = shipped.one(objects, "ValidatingAdmissionPolicy", name)["spec"]
    binding = shipped.one(objects, "ValidatingAdmissionPolicyBinding", name)["spec"]
    assert policy["failurePolicy"] == "Fail"
    assert binding == {"policyName": name, "validationActions": ["Deny", "Audit"]}
    who = "nvtopo-aggregator" if name.startswith("nvtopo-aggregator-") else name.removesuffix("-events")
    assert all(validation["message"].startswith(f"{who}: ") for validation in policy["validations"])


def test_what_is_not_in_force_of_the_plugins_policy_is_reported_where_it_is_installed() -> None:
    def watched(*components: str) -> list[str]:
        pod = shipped.pod_of(shipped.one(shipped.with_components(components), "Deployment", "nvtopo-aggregator"))
        return [argument for argument in pod["containers"][0]["args"] if "admission-policy" in argument]

    assert (watched(), watched("dra")) == ([], ["--admission-policy=nvtopo-dra"])
    objects = shipped.with_components(("dra",))
    (rule,) = shipped.one(objects, "ClusterRole", "nvtopo-aggregator-dra")["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["nvtopo-dra"], ["get"])


def test_secure_metrics_takes_a_certificate_a_token_and_two_rights() -> None:
    objects = shipped.with_components(("secure-metrics",))
    pod = shipped.pod_of(shipped.one(objects, "DaemonSet", "nvtopo-agent"))
    (container,) = pod["containers"]
    (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
    assert volume["secret"] == {"secretName": "nvtopo-agent-tls", "defaultMode": 0o440}
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == volume["name"]]
    options = dict(argument.partition("=")[::2] for argument in container["args"][1:])
    files = (options["--tls-cert-file"], options["--tls-private-key-file"])
    assert files == (f"{mount['mountPath']}/tls.crt", f"{mount['mountPath']}/tls.key")
    assert "--require-token" in options
    assert {container[probe]["httpGet"]["scheme"] for probe in ("livenessProbe", "readinessProbe")} == {"HTTPS"}
    rules = shipped.one(objects, "ClusterRole", "nvtopo-agent-reviews")["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["tokenreviews"], ["create"]),
        (["subjectaccessreviews"], ["create"]),
    ]


def test_all_nodes_leaves_no_condition_but_linux() -> None:
    pod = shipped.pod_of(shipped.one(shipped.with_components(("all-nodes",)), "DaemonSet", "nvtopo-agent"))
    assert "affinity" not in pod
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_network_is_closed_but_for_the_aggregator_s_port() -> None:
    objects = shipped.base()
    nothing = shipped.one(objects, "NetworkPolicy", "nvtopo-nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened = shipped.one(objects, "NetworkPolicy", "nvtopo-aggregator")["spec"]
    assert [rule["ports"] for rule in opened["ingress"]] == [[{"port": 8080, "protocol": "TCP"}]]
    assert all("from" in rule for rule in opened["ingress"])


def test_image_runs_as_the_user_of_the_manifests(agent: Json, aggregator: Json) -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    for workload in (agent, aggregator):
        context = shipped.pod_of(workload)["securityContext"]
        assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user


def test_image_is_built_from_what_is_let_through_to_the_build_and_exists() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]}
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in copied)


def test_no_step_of_the_image_hides_a_failure() -> None:
    steps = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    for step in re.findall(r"^RUN (.+)$", steps, re.MULTILINE):
        assert not re.search("[;|]", step), step


def test_every_privilege_and_component_is_explained() -> None:
    security = (REPOSITORY / "docs" / "security.md").read_text()
    for word in ("SYS_ADMIN", "hostNetwork", "features.d", "status.hostIP", "RuntimeDefault", "features-dir"):
        assert word in security, word
    rows = (DAEMONSET / "README.md").read_text()
    assert [name for name in COMPONENTS if f"| `{name}` |" not in rows] == []
    choices = (DAEMONSET / "kustomization.yaml").read_text()
    assert [name for name in COMPONENTS if f"components/{name}" not in choices] == []


def _verb(verb: str) -> click.Command:
    assert isinstance(program, click.Group)
    found = program.get_command(click.Context(program), verb)
    assert found is not None
    return found


def _options(verb: str) -> set[str]:
    return {name for option in _verb(verb).params for name in (*option.opts, *option.secondary_opts)}


def _variables(verb: str) -> set[Any]:
    given = (option.envvar for option in _verb(verb).params)
    return {name for one in given for name in ([one] if isinstance(one, str) else one or ())}
