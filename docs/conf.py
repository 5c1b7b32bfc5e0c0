"""How Sphinx builds these pages: MyST for the text, autodoc for the names, furo for the looks."""

from importlib.metadata import version as installed_version

project = "ellzero"
author = "The ellzero authors"
copyright = f"2026, {author}"
version = release = installed_version("ellzero")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

# The docstrings write `code` with single backticks and have two sections that napoleon does not know.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "ellzero"
