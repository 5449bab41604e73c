"""The section on the space of rows: latent, or the table's own, real beside synthetic.

Knows projections and hexagons. Must not know figures or HTML.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.report import palette, svg
from clover_tvae.report.projection import Projection, project, table_points
from clover_tvae.report.text import percent_text, printable, shortened

__all__ = ["row_space"]

_N_CLASSES = 6


def row_space(
    tables: CodedTables, target: Hashable | None, latent_real: Any, latent_synthetic: Any, disclosure: Disclosure
) -> dict[str, Any]:
    """Return what the template shows of the space of rows.

    Args:
        tables: Coded tables with the roles ``real`` and ``synthetic``.
        target: The column that colours the hexagons; ``None`` for one colour a table.
        latent_real: Latent means of the real rows, in their order; ``None`` draws the table's own space.
        latent_synthetic: Latent means of the synthetic rows.
        disclosure: What may be shown of the real rows.
    """
    has_latent = latent_real is not None and latent_synthetic is not None
    if has_latent:
        points = [np.asarray(part, dtype=np.float64) for part in (latent_real, latent_synthetic)]
        title = "Latent space, real beside synthetic"
        words = (
            "Where the encoder puts the rows: the two directions in which the latent means of the real rows vary most."
        )
    else:
        points = table_points(tables["real"], [tables["real"], tables["synthetic"]])
        title = "The space of rows, real beside synthetic"
        words = "No encoder was given, so this is the table's own space: the two directions in which the real rows vary most."
    kinds, names = _classes(tables, target, disclosure)
    aligned = kinds is not None and [len(kind) for kind in kinds] == [len(part) for part in points]
    colours = kinds if aligned and kinds is not None else (None, None)
    projection = project(points[0], points[1], colours[0], colours[1], names if aligned else (), disclosure=disclosure)
    if projection is None:
        return {"title": title, "maps": [], "note": "Too few rows, or none that vary: there is nothing to draw."}
    return {
        "title": title,
        "words": words,
        "maps": _density_maps(projection),
        "classes": projection.classes,
        "target": "" if target is None else f"Most frequent {shortened(printable(target))} in the hexagon",
        "note": f"Densities, not rows: a hexagon is drawn where at least {disclosure.min_count} rows of its class lie; "
        f"{percent_text(projection.real.hidden)} of the real and {percent_text(projection.synthetic.hidden)} of the "
        f"synthetic rows lie outside of those drawn. The two directions hold {percent_text(projection.explained)} of the "
        "variance, so two clouds that look alike here can differ in the others.",
    }


def _density_maps(projection: Projection) -> list[tuple[str, str]]:
    colours = palette.CLASSES if projection.classes else None
    return [
        (
            words,
            svg.hex_map(density.cells, projection.shape, f"Density of the {words.lower()} rows", colours or (colour,)),
        )
        for words, density, colour in (
            ("Real", projection.real, palette.REAL),
            ("Synthetic", projection.synthetic, palette.SYNTHETIC),
        )
    ]


def _classes(
    tables: CodedTables, target: Hashable | None, disclosure: Disclosure
) -> tuple[tuple[np.ndarray, np.ndarray] | None, tuple[str, ...]]:
    """Return the class of every row by the target: its frequent categories, or thirds of its numbers."""
    if target in tables.category_names:
        position = tables.category_names.index(target)
        codes = [tables[role].codes[:, position] for role in ("real", "synthetic")]
        counts = np.bincount(codes[0][codes[0] >= 0], minlength=len(tables.categories[position]))
        frequent = [
            code for code in np.argsort(-counts, kind="stable")[:_N_CLASSES] if disclosure.may_name(counts[code])
        ]
        names = [shortened(printable(tables.categories[position][code])) for code in frequent]
        group = np.full(len(counts) + 1, len(frequent))
        group[frequent] = np.arange(len(frequent))
        if any((group[part] == len(frequent)).any() for part in codes):
            names.append("other or missing")
        return (group[codes[0]], group[codes[1]]), tuple(names)
    if target in tables.number_names:
        position = tables.number_names.index(target)
        numbers = [tables[role].numbers[:, position] for role in ("real", "synthetic")]
        known = numbers[0][~np.isnan(numbers[0])]
        if not len(known):
            return None, ()
        cuts = np.quantile(known, [1 / 3, 2 / 3])
        kinds = [np.where(np.isnan(part), 3, np.searchsorted(cuts, part)) for part in numbers]
        thirds = ["lowest third", "middle third", "highest third"]
        return (kinds[0], kinds[1]), tuple([*thirds, "missing"] if any((kind == 3).any() for kind in kinds) else thirds)
    return None, ()
