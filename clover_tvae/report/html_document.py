"""HTML documents: templates rendered with autoescape under a strict content policy, and written whole."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clover_tvae.errors import MissingExtraError
from clover_tvae.version import __version__

__all__ = ["render"]

_FOLDER = Path(__file__).parent / "templates"


def render(template: str, content: Mapping[str, Any]) -> str:
    """Return a page: a template filled with names; all is escaped but charts (``svg.Chart``), which are markup already.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    page = _environment().get_template(template).render(content)
    # A lone surrogate has no UTF-8 form; what came this far becomes a visible reference.
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


@cache
def _environment() -> Any:
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError(
            "the report needs jinja2, which is not installed; in the project's folder run: pip install '.[report]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    for name in ("css", "js"):
        source = (_FOLDER / f"page.{name}").read_text(encoding="utf-8").replace("\r\n", "\n")
        environment.globals[name] = Markup(source)
        environment.globals[f"{name}_hash"] = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return environment
