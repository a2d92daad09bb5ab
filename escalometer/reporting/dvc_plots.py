"""The page around DVC's plots, with Vega's scripts in it, so that it opens without a network."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from escalometer import layout
from escalometer.runtime.files import write_text

# DVC fills in {plot_divs}. Its own scripts placeholder, which loads from elsewhere, is left out.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>escalometer: plots</title>
<style>body { font-family: sans-serif; margin: 2rem; }</style>
<script>SCRIPTS</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


#: How the page ends: one that does not was cut off.
_END = "</html>\n"


def write_plots_template(path: Path, root: Path = Path()) -> None:
    """Write the template that .dvc/config names as `plots.html_template`.

    The scripts take two seconds to put together, so the page is kept in the project.
    """
    version = importlib.metadata.version("vl-convert-python")
    page_digest = hashlib.sha256(_PAGE.encode()).hexdigest()[:8]
    kept = layout.kept_plots_template(f"{version}-{page_digest}", root)
    page = kept.read_text("utf-8") if kept.exists() else ""
    if not page.endswith(_END):
        page = _template()
        write_text(page, kept)
    write_text(page, path)


def _template() -> str:
    import vl_convert

    bundle = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]
    return _PAGE.replace("SCRIPTS", bundle.replace("</script", "<\\/script"))
