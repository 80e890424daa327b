"""Settings of the documentation, which `make docs` builds; pages of methods and modules are made by `_ext`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import fewscan

project = "fewscan"
author = "The fewscan developers"
copyright = "the fewscan developers, Apache-2.0"
release = version = fewscan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "kept_files", "method_pages", "module_pages"]
exclude_patterns = ["_build", "_ext", "_static"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"fewscan {release}"
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

highlight_language = "text"
default_role = "py:obj"  # `name` in a docstring is a link where there is something to link to
autodoc_member_order = "bysource"
toc_object_entries = False  # thousands of functions in the contents take a third of the time
autodoc_typehints = "none"  # types stand in the numpydoc sections
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Class attributes", "Attributes")]
