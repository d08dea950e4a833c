"""The machines that the image is for, by the names that OCI, Debian and the kernel have for them."""

import platform
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Platform:
    """One kind of machine, under Linux."""

    architecture: str
    """OCI's name for it, and Debian's."""
    machine: str
    """The kernel's, and that of Python's wheels."""

    @property
    def words(self) -> tuple[str, ...]:
        """What buildah is told."""
        return ("--os", "linux", "--arch", self.architecture)

    @property
    def document(self) -> dict[str, str]:
        """As an OCI image index has it."""
        return {"architecture": self.architecture, "os": "linux"}


ALL: Final = (Platform("amd64", "x86_64"), Platform("arm64", "aarch64"))
#: This machine. On one that the image is not for, every platform is another one.
HOST: Final = next((each for each in ALL if each.machine == platform.machine()), None)
