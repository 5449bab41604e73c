"""How the documentation site is built, warnings as errors: `sphinx-build -W -c docs . FOLDER`.

The source is the whole project, so that a link between any two pages works on the site as it does beside the code.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from clover_tvae import __version__  # noqa: E402

project = "clover_tvae"
author = "the clover_tvae authors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
root_doc = "docs/index"
include_patterns = ["docs/**", "examples/README.md", "benchmarks/README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
html_theme = "furo"
html_title = f"clover_tvae {release}"
html_extra_path = ["start"]  # an index.html that leads to docs/index.html
html_copy_source = False

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
# The paragraphs that our docstrings have beside those of Google's style.
napoleon_custom_sections = ["Shape"]
