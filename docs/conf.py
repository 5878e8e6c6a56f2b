"""Sphinx settings of the site: the Markdown pages as they lie in the repository (`make docs`).

The source folder is the repository itself, so a link means the same to the site and to a repository browser.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

project = "bittrue"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "rtl/README.md", "examples/**.md"]
exclude_patterns = ["**/.*", "build", "dist", "out", "tests"]
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "bittrue"
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "none"
nitpicky = True

DECISIONS = "docs/decisions/README"
_LINK = re.compile(r"^\* \[[^]]+\]\((?P<page>[^)#]+)\.md\)", re.MULTILINE)


def contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Make the site's left-hand side of the lists of links in docs/index.md, and list all decisions on their page."""
    if page == DECISIONS:
        source[0] += "\n```{toctree}\n:maxdepth: 1\n:glob:\n\n0*\n```\n"
    if page == root_doc:
        for section in source[0].split("\n## ")[1:]:
            heading, _, body = section.partition("\n")
            pages = "\n".join(match["page"] for match in _LINK.finditer(body))
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Connect `contents`."""
    app.connect("source-read", contents)
