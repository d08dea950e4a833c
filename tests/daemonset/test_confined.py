"""The agent as its container confines it, without a container: mount and user of the manifests, on this machine.

Everything but the features directory is read-only, the user is 65532 without one capability, and no privilege can be
gained. What it reads then must be what root reads without all that.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.daemonset import shipped
from tests.documents import facts

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "mount"))),
        reason="needs root and util-linux, to make mounts and then give everything up",
    ),
]

#: $1 is the directory that stays writable, $2 what readies it (as the init container), $3 the user of the program,
#: $4 the capabilities that the init container keeps, and the rest is the program.
_CONFINED: Final = """
set -e
directory=$1; prepare=$2; user=$3; owns=$4; shift 4
setpriv --regid 65532 --clear-groups --bounding-set "$owns" --inh-caps -all --no-new-privs \
    sh -ec "$prepare" "$directory"
mount --bind "$directory" "$directory"
mount --bind /sys /sys
mount -o remount,bind,ro /sys
mount -o remount,bind,ro /
for place in /tmp /dev/shm /var/tmp /run; do
    case "$directory" in "$place"/*) ;; *) mountpoint -q "$place" && mount -o remount,bind,ro "$place" ;; esac
done
exec setpriv --reuid "$user" --regid 65532 --clear-groups --bounding-set -all --inh-caps -all --no-new-privs "$@"
"""


@pytest.fixture
def features_d() -> Iterator[Path]:
    """A directory owned by root, as the kubelet makes it; only root can enter pytest's own directories."""
    with tempfile.TemporaryDirectory(prefix="nvtopo-features-") as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder) / "features.d"
        directory.mkdir(mode=0o755)
        if _confined(directory, "-c", "import msgspec, nvtopo").returncode:
            pytest.skip("user 65532 may not read this Python or this checkout")
        yield directory


def test_agent_does_its_work_without_any_privilege(features_d: Path) -> None:
    done = _confined(features_d, "-m", "nvtopo", "agent", "--once", "--no-resource", "--features-dir", str(features_d))
    assert done.returncode == 0, done.stderr
    assert not any("Permission denied" in line for line in done.stderr.splitlines()), done.stderr
    (written,) = features_d.iterdir()
    assert written.stat().st_uid == 65532
    assert "nvtopo.io/" in written.read_text()


def test_it_reads_the_same_as_root_but_for_what_is_said(features_d: Path) -> None:
    arguments = ("-m", "nvtopo", "dump", "--format", "json")
    confined = _confined(features_d, *arguments)
    assert confined.returncode == 0, confined.stderr
    plainly = subprocess.run((sys.executable, *arguments), env=_environment(), capture_output=True, check=True)
    found, expected = facts(json.loads(confined.stdout)), facts(json.loads(plainly.stdout))
    for device in (*expected.get("gpus", ()), *expected.get("nics", ())):
        device.pop("acsRedirect", None)  # needs CAP_SYS_ADMIN: the component acs
    expected.pop("kubelet", None)  # a mount of its own: the component kubelet-policies
    assert found == expected


def test_it_can_write_nowhere_else_and_touch_no_file_of_others(features_d: Path) -> None:
    (features_d / "another").write_text("of root's")
    tries = "; ".join(
        f"""
try:
    {attempt}
    print({attempt!r})
except OSError:
    pass
"""
        for attempt in (
            "open('/etc/nvtopo', 'w')",
            "open('/sys/kernel/mm/transparent_hugepage/enabled', 'w')",
            "os.unlink('another')",
            "os.rename('own', 'another')",
            "open('another', 'w')",
            "os.chmod('.', 0o777)",
            "os.setuid(0)",
        )
    ).replace("; ", "\n")
    program = f"import os\nos.chdir({str(features_d)!r})\nopen('own', 'w').close()\n{tries}"
    done = _confined(features_d, "-c", program)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert (features_d / "another").read_text() == "of root's"


def test_readying_the_directory_again_changes_nothing(features_d: Path) -> None:
    assert _confined(features_d, "-c", "").returncode == 0
    status = features_d.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 65532, 0o1775)


@pytest.mark.parametrize("component", ["acs", "pods"])
def test_labels_are_renewed_after_a_component_that_makes_the_agent_root_is_gone(
    features_d: Path, component: str
) -> None:
    """Base, component, base: each agent replaces the file of the one before."""
    file, once = features_d / "nvtopo", ("agent", "--once", "--no-resource", "--features-dir", str(features_d))
    owners = []
    for components in ((), (component,), ()):
        done = _confined(features_d, "-m", "nvtopo", *once, components=components)
        assert done.returncode == 0, done.stderr
        owners.append(file.stat().st_uid)
        file.write_text("of an agent that is gone")  # in place: the owner stays
    assert owners == [65532, 0, 65532]
    assert sorted(path.name for path in features_d.iterdir()) == ["nvtopo"]


def test_files_of_others_stay_theirs(features_d: Path) -> None:
    """Root's own files, links, and a name that leads elsewhere: none is given away."""
    other = features_d / "other"
    other.write_text("of root's")
    (features_d / ".nvtopo.link").symlink_to(other)
    (features_d / ".nvtopo.again").hardlink_to(other)
    (features_d / ".nvtopo.partial").write_text("of an agent that was root, and killed")
    (features_d / "nvtopo").mkdir()
    assert _confined(features_d, "-c", "").returncode == 0
    owners = {path.name: path.lstat().st_uid for path in features_d.iterdir()}
    assert owners == {"other": 0, ".nvtopo.link": 0, ".nvtopo.again": 0, ".nvtopo.partial": 65532, "nvtopo": 0}


def _confined(features_d: Path, *arguments: str, components: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    pod = shipped.pod_of(shipped.one(shipped.with_components(components), "DaemonSet", "nvtopo-agent"))
    (container,), (agent,) = pod["initContainers"], pod["containers"]
    prepare, added = container["args"][0], container["securityContext"]["capabilities"]["add"]
    owns = ",".join(("-all", *(f"+{capability.lower()}" for capability in added)))
    user = str({**pod["securityContext"], **agent["securityContext"]}["runAsUser"])
    return subprocess.run(
        (
            "unshare",
            "-m",
            "sh",
            "-c",
            _CONFINED,
            "sh",
            str(features_d),
            prepare,
            user,
            owns,
            sys.executable,
            *arguments,
        ),
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def _environment() -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "NODE_NAME": "node-a"}
