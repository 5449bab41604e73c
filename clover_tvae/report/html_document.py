"""HTML documents: templates rendered with autoescape under a strict content policy, and written whole.

Knows jinja2 (the only import of it) and the folder of templates. Must not know figures or tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clover_tvae.errors import MissingExtraError
from clover_tvae.files import atomic_write

__all__ = ["render", "write_document"]

_FOLDER = Path(__file__).parent / "templates"


def render(template: str, content: Mapping[str, Any]) -> str:
    """Return a page.

    Everything is escaped but charts (``svg.Chart``), which are markup already.

    Args:
        template: Name of a file in ``templates``.
        content: Names for the template.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    environment = _environment()
    css, js = _source("page.css"), _source("page.js")
    page = environment.get_template(template).render(
        {
            "version": _version(),
            "css": _markup(css),
            "css_hash": _hash(css),
            "js": _markup(js),
            "js_hash": _hash(js),
            **content,
        }
    )
    # A lone surrogate has no UTF-8 form; what came this far becomes a visible reference.
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


def write_document(path: str | Path, text: str) -> None:
    """Write text as UTF-8, atomically.

    Raises:
        TableFileError: The file cannot be written; an older one stands.
    """
    atomic_write(path, lambda file: file.write(text.encode("utf-8", "xmlcharrefreplace")))


@cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError(
            "the report needs jinja2, which is not installed; in the project's folder run: pip install '.[report]'"
        ) from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode("ascii")


def _version() -> str:
    from clover_tvae.version import __version__

    return __version__


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
