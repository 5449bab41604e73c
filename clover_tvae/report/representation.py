"""A synthesizer in one line of text, and as a table of a notebook."""

from __future__ import annotations

import html
from collections import Counter
from typing import Any

from clover_tvae.columns.html_table import html_table
from clover_tvae.metadata import Metadata


def as_text(backend: Any, metadata: Metadata, *, fitted: bool, written: bool = False) -> str:
    """Return what the backend is and, once it has learnt a table, on what, in one line."""
    kinds = Counter(column.kind for column in metadata.columns)
    columns = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    decoder = backend.parameters.get("decoder")
    head = f"TVAESynthesizer(backend={backend.name!r}" + (f", decoder={decoder!r}" if decoder else "")
    if not fitted:
        return f"{head}, not fitted; columns: {columns or 'those of the table'})"
    rows = f", learnt {backend.facts['rows']:,} {'written ' if written else ''}rows"
    rows += f" in {backend.facts['seconds']:.0f} s" if "seconds" in backend.facts else ""
    return f"{head}{rows}, {len(backend.history)} epochs; columns: {columns})"


def as_html(
    backend: Any, metadata: Metadata, *, fitted: bool, sha256: str | None, privacy: str = "", written: bool = False
) -> str:
    """Return the parameters and the facts of the training as a table."""
    rows: dict[str, Any] = {"state": "fitted" if fitted else "not fitted", "backend": backend.name}
    rows |= {name: value for name, value in backend.parameters.items() if value is not None}
    if fitted:
        last = backend.history[-1]
        rows |= backend.facts | {f"last {name}": f"{last[name]:.4g}" for name in ("loss", "validation_loss")}
        rows |= {"privacy": privacy, "sha256": sha256 or "not saved yet"}
    title = html.escape(as_text(backend, metadata, fitted=fitted, written=written))
    return f"<details open><summary>{title}</summary>{html_table('What was learnt, and how', ('what', 'value'), rows.items())}</details>"
