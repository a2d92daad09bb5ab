"""The page around DVC's plots, with Vega's scripts in it, so that it opens without a network."""

from __future__ import annotations

from pathlib import Path

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


def write_plots_template(path: Path) -> None:
    """Write the template that .dvc/config names as `plots.html_template`."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]
    scripts = bundle.replace("</script", "<\\/script")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PAGE.replace("SCRIPTS", scripts), encoding="utf-8")
