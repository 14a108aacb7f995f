"""Sphinx configuration: MyST pages, furo, warnings as errors (`nox -s docs`)."""

import turnfold

project = "Turnfold"
author = "The Turnfold authors"
copyright = "The Turnfold authors"
version = release = turnfold.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest"]
exclude_patterns = ["_build", "STATE.md"]
html_theme = "furo"
html_title = "Turnfold"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# References to our own names must resolve; those of other packages are not looked up (a build needs no network).
nitpicky = True
# The async twins of what sync methods return are described once, on the sync side.
nitpick_ignore_regex = [(r"py:.*", r"(?!turnfold\b).*"), (r"py:.*", r"turnfold\.engine\._async\..*")]

# Examples run as they stand on the page.
doctest_test_doctest_blocks = "default"
