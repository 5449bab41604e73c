"""A small table of texts as HTML, for notebooks: escaped, with headers that a screen reader knows."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first cells name its rows; a notebook gives it its own colours, light or dark.

    Example:
        >>> html_table("Ages", ("name", "age"), [("<Ann>", 30)])  # doctest: +ELLIPSIS
        '<table><caption>Ages</caption>...<th scope="row">&lt;Ann&gt;</th><td>30</td></tr></tbody></table>'
    """
    top = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(str(first))}</th>'
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
