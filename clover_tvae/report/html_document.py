"""HTML documents: templates rendered with autoescape under a strict content policy, and written whole."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clover_tvae.errors import package
from clover_tvae.version import __version__

_FOLDER = Path(__file__).parent / "templates"


def render(template: str, content: Mapping[str, Any]) -> str:
    """Return a page: a template filled with names; all is escaped but charts (``svg.Chart``), which are markup already.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    page = _environment().get_template(template).render(content)
    # A lone surrogate has no UTF-8 form; what came this far becomes a visible reference.
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


def framed(page: str, title: str) -> str:
    """Return a page in a frame of its own, as a notebook shows it: its styles stay inside, and it reaches nothing outside."""
    style = "width: 100%; height: 720px; border: 1px solid #8b97a4; border-radius: 6px"
    inside = html.escape(page)
    return f'<iframe title="{html.escape(title)}" style="{style}" sandbox="allow-scripts" srcdoc="{inside}"></iframe>'


@cache
def _environment() -> Any:
    jinja2, markupsafe = (package(name, "the report", "report") for name in ("jinja2", "markupsafe"))
    options = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, **options)
    environment.globals["version"] = __version__
    for name in ("css", "js"):
        source = (_FOLDER / f"page.{name}").read_text(encoding="utf-8").replace("\r\n", "\n")
        environment.globals[name] = markupsafe.Markup(source)
        environment.globals[f"{name}_hash"] = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return environment
