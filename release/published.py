"""Links that survive where a release is shown without its repository: on a package index, in an alert.

In the sources of a release, and nowhere else, paths become addresses of the release's tag: links and pictures of the
README, the project's links in the package's metadata, ``runbook_url`` of the alerts.
"""

import re
from pathlib import Path
from typing import Final

from release.errors import ReleaseError

#: HTTPS, a host, and the repository's path, as a browser shows them.
_ADDRESS: Final = re.compile(r"https://[a-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._-]+)+")
#: Code, which stays; a picture; a link.
_LINKS: Final = re.compile(
    r"(?P<code>```.*?```)|(?P<picture>!\[[^\]]*\]\()(?P<shown>[^)\s]+)|(?P<inline>`[^`\n]*`)|\]\((?P<target>[^)\s]+)",
    re.DOTALL,
)
_LICENSE: Final = "license_files = LICENSE\n"
RUNBOOKS: Final = "runbook_url: docs/runbooks.md"
ALERTS: Final = Path("daemonset/components/prometheus-rule/prometheus-rule.yaml")


def base(url: str) -> str:
    """The repository's address without a slash at its end."""
    found = url.rstrip("/")
    if not _ADDRESS.fullmatch(found):
        raise ReleaseError(f"{url!r} is no address of a repository, expected https://HOST/OWNER/NAME: URL=…")
    return found


def readme(text: str, url: str, tag: str) -> str:
    """With an address in the place of each path; anchors within the page and other addresses stay."""

    def absolute(found: re.Match[str]) -> str:
        if (path := found["shown"] or found["target"]) is None or "://" in path or path.startswith("#"):
            return found[0]
        return f"{found['picture'] or ']('}{url}/{'raw' if found['shown'] else 'blob'}/{tag}/{path}"

    return _LINKS.sub(absolute, text)


def metadata(text: str, url: str, tag: str) -> str:
    """``setup.cfg`` with the links that a package index shows beside the page."""
    links = {
        "Source": url,
        "Documentation": f"{url}/blob/{tag}/docs/README.md",
        "Changelog": f"{url}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
    lines = "".join(f"    {name} = {address}\n" for name, address in links.items())
    return _replaced(text, _LICENSE, f"{_LICENSE}project_urls =\n{lines}")


def alerts(text: str, url: str, tag: str) -> str:
    """Rules whose links to runbooks open from anywhere."""
    return _replaced(text, RUNBOOKS, f"runbook_url: {url}/blob/{tag}/docs/runbooks.md")


def apply(source: Path, url: str, tag: str) -> None:
    """Change the files of an export of the commit."""
    for name, change in ((Path("README.md"), readme), (Path("setup.cfg"), metadata), (ALERTS, alerts)):
        file = source / name
        file.write_text(change(file.read_text(encoding="utf-8"), base(url), tag), encoding="utf-8")


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise ReleaseError(f"{old.strip()!r} is not where it was: see release/published.py")
    return text.replace(old, new)
