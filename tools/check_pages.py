"""Check built HTML pages: every local link and anchor exists, and nothing is loaded over a network.

    python tools/check_pages.py docs/_build/html

Prints the number of pages and the path of the first, or each fault; exits with 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes that load something, by element; links of <a> are followed by a person only.
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """One page: its anchors, its links and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ids, links and loaded resources."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if LOADS.get(tag, "") in values:
            self.loads.append(values[LOADS[tag]])


def faults(folder: Path) -> Iterator[str]:
    """Yield each broken link and each resource from a network.

    Parameters
    ----------
    folder : Path
        Folder of HTML files.
    """
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(folder)
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https", "") and parts.netloc:
                if address in page.loads:
                    yield f"{where}: loads {address}"
                continue
            if parts.scheme:  # mailto, data
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{where}: {address} does not exist"
            elif parts.fragment and unquote(parts.fragment) not in _anchors(pages, target):
                yield f"{where}: {address} has no such anchor"


def _anchors(pages: dict[Path, Page], target: Path) -> set[str]:
    """Return the anchors of a page; a file that is not a page has any."""
    return pages[target].anchors if target in pages else set()


def main() -> int:
    """Check the folder given as argument; return 1 if anything is wrong."""
    folder = Path(sys.argv[1]).resolve()
    found = list(faults(folder))
    for fault in found:
        print(fault, file=sys.stderr)
    n_pages = len(list(folder.rglob("*.html")))
    print(f"{n_pages} pages, {len(found)} faults: {folder / 'index.html'}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
