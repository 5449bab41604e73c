"""The report: one HTML file on one synthetic table, for a reader who has five minutes and a decision to make.

Knows figures, coded tables and templates. Must not know synthesizers or torch: it takes DataFrames and plain dicts, so
that it reads anyone's synthetic rows. What may be shown of the real rows is decided by
``evaluation.disclosure`` alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clover_tvae.evaluation.disclosure import Disclosure, figures_to_show
from clover_tvae.evaluation.frames import CodedTables, code_tables, resolve_metadata
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.report import palette, svg
from clover_tvae.report.card import card_groups
from clover_tvae.report.document import render, write_document
from clover_tvae.report.history import CURVES, history_columns
from clover_tvae.report.marginals import Bar, Marginal, marginals
from clover_tvae.report.pairs import PairErrors
from clover_tvae.report.space import row_space
from clover_tvae.report.text import count_text, decimal_text, listed, percent_text, printable, shortened
from clover_tvae.report.wording import readings, sections, summary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Report", "build_report", "write_report"]

DEFAULT_TITLE = "Synthetic data report"

_N_OPEN = 24
_N_BARS = 9
_N_RELATIONS = 12


@dataclass(frozen=True)
class Report:
    """A finished report.

    Args:
        title: The page's title.
        figures: The evaluation's figures, or ``None`` where none could be had.
        marginals: What may be shown of every column, the worst first.
        content: All that the template shows, already free of real rows and small cells.
    """

    title: str
    figures: Any
    marginals: tuple[Marginal, ...]
    content: Mapping[str, Any]

    def html(self) -> str:
        """Return the page.

        Raises:
            MissingExtraError: jinja2 is not installed.
        """
        return render("report.html.j2", self.content)

    def save(self, path: str | Path) -> None:
        """Write the page as one file, atomically.

        Raises:
            TableFileError: The file cannot be written; an older one stands.
            MissingExtraError: jinja2 is not installed.
        """
        write_document(path, self.html())

    def to_json(self) -> str:
        """Return the figures and the errors of columns and pairs as JSON; no value of the data is in it."""
        content = {
            "title": self.title,
            "figures": None if self.figures is None else figures_to_show(self.figures.to_plain()),
            "columns": [
                {
                    "name": marginal.title,
                    "kind": marginal.kind,
                    "shape_error": _finite(marginal.error),
                    "holdout_shape_error": _finite(marginal.holdout_error),
                    "categories": marginal.n_categories,
                    "suppressed_categories": marginal.n_suppressed,
                }
                for marginal in self.marginals
            ],
        }
        return json.dumps(content, indent=2, allow_nan=False, default=str)


def write_report(path: str | Path, real: pd.DataFrame, synthetic: pd.DataFrame, **options: Any) -> Report:
    """Build a report and write it.

    Args:
        path: Where to write the HTML file.
        real: See ``build_report``.
        synthetic: See ``build_report``.
        **options: The other arguments of ``build_report``.

    Returns:
        The report.
    """
    report = build_report(real, synthetic, **options)
    report.save(path)
    return report


def build_report(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None = None,
    metadata: Any = None,
    *,
    history: Any = None,
    card: Mapping[str, Any] | None = None,
    latent_real: Any = None,
    latent_synthetic: Any = None,
    figures: Any = None,
    seed: int = 0,
    min_count: int = MIN_COUNT,
    title: str = DEFAULT_TITLE,
) -> Report:
    """Compare a synthetic table with the real one and lay the result out as a page.

    Args:
        real: The rows that the generator was trained on.
        synthetic: The synthetic rows.
        holdout: Real rows that the generator never saw; without them privacy and utility cannot be judged.
        metadata: A ``Metadata``, Clover's dict, the path of one, or ``None``: kinds by dtype.
        history: The learning curves: a DataFrame or a list of dicts, one row an epoch.
        card: The model card as a plain dict, as ``TVAESynthesizer.card()`` returns it.
        latent_real: Latent means of the real rows, in their order; without them the table's own space is drawn.
        latent_synthetic: Latent means of the synthetic rows.
        figures: Figures already computed; ``None`` computes them, which takes most of the time.
        seed: Seed of the figures and of every draw.
        min_count: Fewest real rows that any part of the page may show.
        title: The page's title.

    Returns:
        The report.

    Raises:
        DataError: The tables do not fit each other; with every problem.
        MetadataError: ``metadata`` is wrong.
        ConfigError: ``min_count`` is no whole number of at least 1.

    Example:
        >>> import pandas as pd
        >>> real = pd.DataFrame({"age": range(20, 80), "sex": ["F", "M"] * 30})
        >>> report = build_report(real, real.sample(40, random_state=1), figures=())
        >>> "no proof of anonymity" in report.html()
        True
    """
    disclosure = Disclosure(min_count)
    metadata = resolve_metadata(metadata)
    tables = code_tables({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    shown = marginals(tables, metadata, disclosure)
    if figures is None:
        figures = _computed(real, synthetic, holdout, metadata, seed, min_count)
    pairs = PairErrors.of(tables, shown, seed, disclosure)
    target = None if metadata is None else metadata.variable_to_predict
    read = readings(figures)
    content = {
        "title": printable(title),
        "subtitle": _subtitle(tables, seed),
        "contents": _CONTENTS,
        "summary": summary(
            read, shown, pairs.worst, n_holdout=0 if holdout is None else len(holdout), min_count=min_count
        ),
        "facts": _facts(tables, card, target),
        "card_groups": card_groups(card),
        **_history(history),
        "columns": [_column(marginal, disclosure) for marginal in shown],
        "n_open": _N_OPEN,
        "pairs": pairs.content(),
        "relations": _relations(figures, disclosure),
        **_rare(shown, disclosure),
        "min_count": min_count,
        "rounding": disclosure.step,
        "space": row_space(tables, target, latent_real, latent_synthetic, disclosure),
        "sections": sections(read, has_holdout=holdout is not None, has_target=target is not None),
        **_suppressed(shown, min_count),
        "left_out": _left_out(real, tables),
    }
    return Report(printable(title), figures if hasattr(figures, "to_plain") else None, tuple(shown), content)


_CONTENTS = (
    ("summary", "Summary"),
    ("card", "Model card"),
    ("training", "Learning curves"),
    ("columns", "Columns"),
    ("pairs", "Pairs"),
    ("rare", "Rare and missing"),
    ("space", "Space of rows"),
    ("fidelity", "Fidelity"),
    ("utility", "Utility"),
    ("privacy", "Privacy"),
    ("suppressed", "Left out"),
)


def _computed(real: Any, synthetic: Any, holdout: Any, metadata: Any, seed: int, min_count: int) -> Any:
    from clover_tvae.report.measurement import measure

    return measure(real, synthetic, holdout, metadata, seed=seed, min_count=min_count)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _subtitle(tables: CodedTables, seed: int) -> str:
    rows = [f"{count_text(tables[role].n_rows)} {words}" for role, words in _ROLES if role in tables.tables]
    return f"{listed(rows)} rows, {len(tables.names)} columns compared, seed of the evaluation {seed}."


_ROLES = (("real", "real training"), ("synthetic", "synthetic"), ("holdout", "real holdout"))


def _facts(tables: CodedTables, card: Mapping[str, Any] | None, target: Hashable | None) -> list[tuple[str, str]]:
    facts = [
        ("Real training rows", count_text(tables["real"].n_rows)),
        ("Synthetic rows", count_text(tables["synthetic"].n_rows)),
        ("Real holdout rows", count_text(tables["holdout"].n_rows) if "holdout" in tables.tables else "none"),
        ("Numbers and dates", str(len(tables.number_names))),
        ("Categories", str(len(tables.category_names))),
    ]
    if target is not None:
        facts.append(("Column to predict", shortened(printable(target))))
    seed = None if card is None else card.get("seed", card.get("random_state"))
    if card is not None:
        facts.append(("Seed of the training", "none: not repeatable" if seed is None else shortened(printable(seed))))
    return facts


# ---------------------------------------------------------------- learning curves


def _history(history: Any) -> dict[str, Any]:
    frame = history_columns(history)
    empty: dict[str, Any] = {
        "history_charts": [],
        "history_note": "",
        "history_head": (),
        "history_rows": [],
    }
    if not frame:
        return empty
    charts = []
    for words, names in (
        ("Loss: negative ELBO, nats a row", ("loss", "validation_loss")),
        ("Its two parts, nats a row", ("reconstruction", "validation_reconstruction", "kl", "validation_kl")),
    ):
        series = {CURVES[name]: (frame["epoch"], frame[name]) for name in names if name in frame}
        charts.append(
            svg.line_chart(
                series,
                f"{words}, by epoch: {listed(list(series))}",
                x_label="epoch",
                y_label=words,
                colours=(palette.REAL, palette.SYNTHETIC, palette.HOLDOUT, "#CC79A7"),
            )
        )
    n_epochs = len(frame["epoch"])
    note = f"{n_epochs} epochs."
    validation = np.asarray(frame.get("validation_loss", ()), dtype=np.float64)
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        note += f" The validation loss is lowest at epoch {count_text(frame['epoch'][best])}."
        note += " Where training keeps falling while validation rises, the model learns rows by heart."
    else:
        note += " No validation rows: these curves cannot show whether the model learns rows by heart."
    curves = [name for name in ("epoch", "seconds", *CURVES) if name in frame]
    rows = sorted({*np.linspace(0, n_epochs - 1, min(n_epochs, 20)).round().astype(int).tolist()})
    return {
        "history_charts": [chart for chart in charts if chart],
        "history_note": note,
        "history_head": [name.replace("_", " ") for name in curves],
        "history_rows": [
            [count_text(frame["epoch"][row]), *(decimal_text(frame[name][row], 4) for name in curves[1:])]
            for row in rows
        ],
    }


# ---------------------------------------------------------------- columns


def _column(marginal: Marginal, disclosure: Disclosure) -> dict[str, Any]:
    charts: list[svg.Chart] = []
    rows: list[tuple[str, str, str]] = []
    notes: list[str] = []
    if marginal.bars:
        drawn = _few(marginal.bars) if marginal.kind == "categorical" else marginal.bars
        charts.append(svg.bar_chart(drawn, f"{marginal.title}: share of each value, real and synthetic"))
        rows += [(bar.label, percent_text(bar.real), percent_text(bar.synthetic)) for bar in marginal.bars]
    histogram = marginal.histogram
    if histogram is not None:
        charts.append(svg.histogram_chart(histogram, f"{marginal.title}: histogram of real and synthetic numbers"))
        rows += [
            (histogram.bin_label(position), percent_text(real), percent_text(synthetic))
            for position, (real, synthetic) in enumerate(zip(histogram.real, histogram.synthetic, strict=True))
        ]
        if marginal.bars:
            notes.append("The histogram shows the other values.")
        if histogram.logarithmic:
            notes.append("Logarithmic axis.")
    if not charts:
        notes.append("Too few real rows to draw anything without showing a small group.")
    if marginal.missing["real"] or marginal.missing["synthetic"]:
        missing = _missing_texts(marginal, disclosure)
        notes.append(
            f"Missing: real {missing[0]}, synthetic {missing[1]}; shares above are of the cells that are there."
        )
    return {
        "title": marginal.title,
        "kind": marginal.kind,
        "error": percent_text(marginal.error),
        "holdout_error": None if marginal.holdout_error is None else percent_text(marginal.holdout_error),
        "charts": charts,
        "rows": rows,
        "notes": notes,
    }


def _few(bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars that a card has room for; the table beneath it has them all."""
    named = [bar for bar in bars if bar.is_value]
    words = [bar for bar in bars if not bar.is_value]
    if len(named) <= _N_BARS:
        return list(bars)
    rest = named[_N_BARS - 1 :]
    real, synthetic = sum(bar.real for bar in rest), sum(bar.synthetic for bar in rest)
    return [*named[: _N_BARS - 1], Bar(f"{len(rest)} in the table", real, synthetic, False), *words]


_RELATIONS = {
    "equality": "equals",
    "inequality": "is never above",
    "dependency": "settles",
    "combination": "goes only with some of",
}


def _relations(figures: Any, disclosure: Disclosure) -> list[tuple[str, str, str, str, str]]:
    """Return the relations of the real rows that synthetic rows break most, by the evaluation's table of them."""
    table = getattr(figures, "tables", {}).get("relations")
    if table is None or not len(table) or "broken_synthetic" not in table:
        return []
    ordered = table.sort_values("broken_synthetic", ascending=False, kind="stable").head(_N_RELATIONS)
    rows = []
    for row in ordered.to_dict("records"):
        broken, held = row["broken_synthetic"], row.get("broken_holdout")
        shown = [percent_text(broken / 100), _real_share_text(None if held is None else held / 100, disclosure)]
        rows.append(
            (printable(row["column_1"]), _RELATIONS.get(row["kind"], row["kind"]), printable(row["column_2"]), *shown)
        )
    return rows


# ---------------------------------------------------------------- rare categories, missing cells, suppression


def _rare(shown: Sequence[Marginal], disclosure: Disclosure) -> dict[str, Any]:
    rare_rows = [
        (
            marginal.title,
            count_text(marginal.n_categories),
            count_text(marginal.n_categories - marginal.n_lost),
            count_text(marginal.n_lost),
            count_text(marginal.n_invented),
            percent_text(marginal.real_suppressed),
            percent_text(marginal.synthetic_suppressed),
        )
        for marginal in sorted(shown, key=lambda marginal: -marginal.n_lost)
        if marginal.n_categories
    ]
    missing_rows = [
        (marginal.title, *_missing_texts(marginal, disclosure))
        for marginal in sorted(shown, key=_missing_gap, reverse=True)
        if marginal.missing["real"] or marginal.missing["synthetic"]
    ]
    return {
        "rare_head": (
            "column",
            "real categories",
            "in synthetic",
            "lost",
            "invented",
            "real rows in rare ones",
            "synthetic rows in rare ones",
        ),
        "rare_rows": rare_rows,
        "missing_head": ("column", "real", "synthetic", "holdout"),
        "missing_rows": missing_rows,
    }


def _missing_gap(marginal: Marginal) -> float:
    gap = abs(marginal.missing["real"] - marginal.missing["synthetic"])
    return 0.0 if math.isnan(gap) else gap


def _missing_texts(marginal: Marginal, disclosure: Disclosure) -> tuple[str, str, str]:
    real, holdout = (_real_share_text(marginal.missing.get(role), disclosure) for role in ("real", "holdout"))
    return real, percent_text(marginal.missing["synthetic"]), holdout


def _real_share_text(share: float | None, disclosure: Disclosure) -> str:
    """Return a share of real rows, or the words for one that is withheld."""
    return disclosure.withheld if share is not None and math.isnan(share) else percent_text(share)


def _suppressed(shown: Sequence[Marginal], min_count: int) -> dict[str, Any]:
    rows = []
    for marginal in shown:
        histogram = marginal.histogram
        beyond = histogram.real_beyond if histogram is not None else 0.0
        if marginal.n_suppressed or marginal.merged_bins or beyond:
            row = (
                marginal.title,
                count_text(marginal.n_suppressed),
                percent_text(marginal.real_suppressed) if marginal.n_suppressed else "–",
                count_text(marginal.merged_bins),
                percent_text(beyond) if histogram is not None else "–",
            )
            rows.append((-marginal.n_suppressed, -marginal.merged_bins, row))
    rows.sort(key=lambda entry: entry[:2])
    return {
        "suppressed_head": (
            "column",
            f"values under {min_count} rows, not named",
            "real rows they hold",
            "bins merged",
            "rows clipped into open bins",
        ),
        "suppressed_rows": [row for *_, row in rows],
    }


def _left_out(real: pd.DataFrame, tables: CodedTables) -> str:
    compared = set(tables.names)
    return ", ".join(printable(name) for name in real.columns if name not in compared)
