"""How the pages and the API reference become a site: ``nox -s docs`` builds it, with warnings as errors."""

from __future__ import annotations

import importlib.metadata

project = "hull-sdk"
version = release = importlib.metadata.version("hull-sdk")
html_title = f"hull-sdk {release}"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 6

# Members stand in the order of the source, each with the types of its signature.
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
