"""Sphinx: the documentation site, from Markdown, the command line and docstrings.

`make docs` builds it. Nothing is loaded from a network: the theme is furo with the system's fonts,
formulas are text, pictures are SVG files that tools/draw_pictures.py writes.
"""

from __future__ import annotations

from escalometer import __version__

project = "escalometer"
author = "the escalometer authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
root_doc = "index"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # docstrings state types with shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

highlight_language = "none"  # console blocks are not Python
nitpicky = True
#: Types in docstrings are prose: shapes, units, allowed values.
nitpick_ignore_regex = [("py:class", ".*")]

html_theme = "furo"
html_title = f"escalometer {version}"
html_static_path: list[str] = []
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif"},
    "navigation_with_keys": True,
}
