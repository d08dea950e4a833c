"""How much the page does: nodes of the document that it touches, and functions of its scripts that it calls."""

from typing import Any, Final, NamedTuple

from tests.browser import Tab

_WATCH: Final = (
    "(() => { const touched = new Set(); window.touched = touched; new MutationObserver((records) => {"
    " for (const one of records) for (const node of [one.target, ...one.addedNodes, ...one.removedNodes])"
    " touched.add(node); }).observe(document, {subtree: true, childList: true, attributes: true,"
    " characterData: true}); })()"
)


class Work(NamedTuple):
    """Of what was done since it was last asked for."""

    nodes: int
    """Of the document, elements and texts: touched, put in or taken out."""
    calls: int
    """Of functions, those within others too."""


class Meter:
    """On the page that a tab shows now."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        tab.find(_WATCH)
        tab.say("Profiler.enable")
        tab.say("Profiler.startPreciseCoverage", callCount=True, detailed=False)
        self.taken()

    def taken(self) -> Work:
        """The work since the last time, and from here on anew."""
        found: list[dict[str, Any]] = self._tab.say("Profiler.takePreciseCoverage")["result"]
        calls = sum(
            function["ranges"][0]["count"]
            for script in found
            if "/page/" in script["url"]
            for function in script["functions"]
        )
        nodes = int(self._tab.find("((count) => (touched.clear(), count))(touched.size)"))
        return Work(nodes, calls)
