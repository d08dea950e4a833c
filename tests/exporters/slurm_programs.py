"""Debian's own Slurm on loopback: a controller without a single node's daemon, and what its commands answer."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab.kube import wait_for
from tests.lab.process import Child, free_port

#: Debian's packages slurmctld, slurm-client and slurmd.
PROGRAMS: Final = ("slurmctld", "scontrol", "slurmd")
_SBIN: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
_SECONDS: Final = 60


def missing() -> bool:
    """Whether one of the programs is not installed."""
    return any(shutil.which(program, path=_SBIN) is None for program in PROGRAMS)


class Slurm:
    """A cluster of these nodes, none of which is there, configured in a folder of its own."""

    def __init__(self, folder: Path, nodes: Mapping[str, str]) -> None:
        """``nodes``: Slurm's names, and what each has, such as ``gpu:nvidia_h200:8``; empty for nothing."""
        self.folder = folder
        self._conf = folder / "slurm.conf"
        (folder / "state").mkdir(exist_ok=True)
        lines = [
            "ClusterName=test",
            "SlurmctldHost=localhost(127.0.0.1)",
            f"SlurmctldPort={free_port()}",
            f"SlurmUser={getpass.getuser()}",
            f"SlurmdUser={getpass.getuser()}",
            "AuthType=auth/none",
            "CredType=cred/none",
            "MpiDefault=none",
            "MailProg=/bin/true",
            "ProctrackType=proctrack/linuxproc",
            "SelectType=select/cons_tres",
            "GresTypes=gpu",
            "TopologyPlugin=topology/tree",
            f"StateSaveLocation={folder / 'state'}",
            f"SlurmdSpoolDir={folder / 'spool'}",
            f"SlurmctldPidFile={folder / 'slurmctld.pid'}",
            *(
                f"NodeName={name} NodeAddr=127.0.0.1 Port={7001 + number} CPUs=256{f' Gres={gres}' if gres else ''}"
                for number, (name, gres) in enumerate(nodes.items())
            ),
            *([f"PartitionName=all Nodes={','.join(nodes)} Default=YES"] if nodes else []),
        ]
        self._conf.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """One command of Slurm's."""
        command = (shutil.which(argv[0], path=_SBIN) or "", *argv[1:])
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )

    @contextmanager
    def controller(self) -> Iterator[Child]:
        """A slurmctld that answers.

        Raises:
            LabError: it ended; its last words say why.
        """
        argv = (shutil.which("slurmctld", path=_SBIN) or "", "-D", "-c", "-f", str(self._conf))
        child = Child("slurmctld", argv, log=self.folder / "slurmctld.log", environment=self._environment)
        try:
            wait_for(lambda: self._answers(child), what="slurmctld", seconds=_SECONDS)
            yield child
        finally:
            child.stop()

    def expanded(self, hostlist: str) -> list[str]:
        """The names that Slurm itself reads in a list such as ``n[00-17]``."""
        if not hostlist:
            return []
        done = self.run("scontrol", "show", "hostnames", hostlist)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def switches(self) -> dict[str, tuple[int, frozenset[str], frozenset[str]]]:
        """Switch → level, nodes below it, switches directly below it, as ``scontrol show topology`` says."""
        done = self.run("scontrol", "show", "topology")
        assert done.returncode == 0, done.stderr
        found = {}
        for line in done.stdout.splitlines():
            words = dict(word.partition("=")[::2] for word in line.split())
            nodes, below = (frozenset(self.expanded(words.get(key, ""))) for key in ("Nodes", "Switches"))
            found[words["SwitchName"]] = (int(words["Level"]), nodes, below)
        return found

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": _SBIN, "SLURM_CONF": str(self._conf)}

    def _answers(self, child: Child) -> bool:
        child.check()
        return self.run("scontrol", "ping").stdout.endswith("is UP\n")
