"""How Sphinx makes the site: `make docs`. The pages are Markdown, the references come from the code."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs" / "extensions"), str(ROOT), str(ROOT / "trainer"), str(ROOT / "resources")]

project = "naslora-napari"
author = "The naslora-napari developers"
copyright = f"2026, {author}"  # noqa: A001
release = version = installed("naslora-napari")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_line", "public_api", "results"]
exclude_patterns = ["extensions"]
html_theme = "furo"
html_title = f"naslora-napari {release}"
html_favicon = html_logo = "../resources/naslora_resources/icons/naslora.svg"

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_typehints = "none"  # numpy docstrings tell them
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
