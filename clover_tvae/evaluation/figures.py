"""Figures: what an evaluation measured, each beside what a perfect generator would score.

Knows the catalogue of all figures, how they are kept as plain data, and how limits are held against them. Must not
know how any figure is computed.

A figure's key is ``section.name`` and stays the same from version to version; limits and pipelines rely on it. The
catalogue is ``CATALOGUE``: title, unit, direction and meaning of every key.
"""

from __future__ import annotations

import html
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from clover_tvae.errors import ConfigError, Problem, did_you_mean

__all__ = ["CATALOGUE", "Better", "Breach", "Figure", "Figures", "Meaning", "check_limits"]

Better = Literal["lower", "higher", "target"]
_FORMAT = "clover-tvae-figures"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Meaning:
    """What a figure's key stands for.

    Args:
        title: A short name for people.
        unit: ``"%"``, ``"share"`` (0 to 1), ``"AUC"``, ``"ratio"``, ``"count"`` or ``"score"``.
        better: ``"lower"``, ``"higher"``, or ``"target"``: the nearer to ``perfect`` the better.
        perfect: What a perfect generator would score; ``None`` where only the holdout can tell.
        note: One sentence: what it says, and what it cannot say.
    """

    title: str
    unit: str
    better: Better
    perfect: float | None
    note: str


_NOT_PROOF = "A good value is no proof that the table is safe to publish."

_MODEL_SCORES: tuple[tuple[str, str, str, Better], ...] = (
    ("auc", "AUC", "AUC", "higher"),
    ("accuracy", "accuracy", "share", "higher"),
    ("rarest_recall", "recall of the rarest class", "share", "higher"),
    ("r2", "R2", "score", "higher"),
    ("mae", "mean absolute error", "target's unit", "lower"),
)

CATALOGUE: Mapping[str, Meaning] = {
    "fidelity.shape": Meaning(
        "Shape error",
        "%",
        "lower",
        None,
        "Mean distance of the columns' distributions. Says nothing about how columns hang together; below the floor "
        "of a fresh sample the table follows its training rows, not the population.",
    ),
    "fidelity.trend_shared": Meaning(
        "Trend error, shared edges",
        "%",
        "lower",
        None,
        "Mean distance over the pairs of columns, numbers in the real table's 10 bins.",
    ),
    "fidelity.trend_own": Meaning(
        "Trend error, own edges (sdmetrics, all pairs)",
        "%",
        "lower",
        None,
        "As sdmetrics bins: each table between its own extremes, so that one outlier moves it. For comparison with "
        "published figures.",
    ),
    "fidelity.trend_strong": Meaning(
        "Trend error, own edges, strong pairs (sdmetrics' default)",
        "%",
        "lower",
        None,
        "Over the pairs whose real correlation is above 0.5 or association above 0.3, as sdmetrics 0.32 reports.",
    ),
    "fidelity.c2st": Meaning(
        "Real or synthetic, told by trees (C2ST)",
        "AUC",
        "target",
        0.5,
        "How well gradient-boosted trees tell the two tables apart: 0.5 is a coin, 1 is always. Clearly below 0.5, as "
        "for the bootstrap, means copies: the trees take a copy for the real row that they learnt.",
    ),
    "fidelity.c2st_score": Meaning(
        "C2ST as the literature prints it",
        "score",
        "higher",
        1.0,
        "1 - 2 (AUC - 0.5), at most 1: the same figure turned round. Copies score 1 here too.",
    ),
    "fidelity.alpha_precision": Meaning(
        "Alpha-precision",
        "score",
        "higher",
        None,
        "Whether synthetic rows fill the real table's core and fringe in the right proportions (0.985 to 0.993 for a "
        "fresh sample).",
    ),
    "fidelity.beta_recall": Meaning(
        "Beta-recall",
        "score",
        "target",
        0.5,
        "Whether synthetic rows lie near every real row: 0.48 to 0.50 for a fresh sample; above about 0.52 is copying, "
        "not quality.",
    ),
    "fidelity.relations_broken": Meaning(
        "Relations broken, mean",
        "%",
        "lower",
        None,
        "Mean share of rows that break a relation which holds in at least 99.5% of the real rows.",
    ),
    "fidelity.relations_worst": Meaning(
        "Relations broken, worst",
        "%",
        "lower",
        None,
        "Share of rows that break the relation broken most often.",
    ),
    "fidelity.categories_present": Meaning(
        "Real categories that appear", "%", "higher", None, "Share of the real categories that appear at all."
    ),
    "fidelity.rare_frequency": Meaning(
        "Frequency of rare categories",
        "ratio",
        "target",
        1.0,
        "Frequency of the categories under 1% of the real rows, all together, over their real frequency.",
    ),
    "fidelity.unseen_categories": Meaning(
        "Cells with categories never seen", "%", "lower", 0.0, "Cells whose category the real table does not have."
    ),
    "fidelity.out_of_range": Meaning(
        "Numbers out of range", "%", "lower", 0.0, "Cells outside the real column's smallest and largest value."
    ),
    "fidelity.missing_rate": Meaning(
        "Missing rate, largest difference",
        "%",
        "lower",
        None,
        "Largest difference of a column's share of missing cells, in percentage points.",
    ),
    "fidelity.decimals": Meaning(
        "Columns with more decimals than real", "count", "lower", 0.0, "Number columns written more finely than real."
    ),
    "fidelity.dtypes": Meaning(
        "Columns of another dtype", "count", "lower", 0.0, "Columns whose dtype is of another kind than the real one."
    ),
    "fidelity.duplicates": Meaning(
        "Rows that occur more than once", "%", "target", None, "Rows that are the same as an earlier one of the table."
    ),
    "utility.loss": Meaning(
        "Utility lost",
        "score",
        "lower",
        0.0,
        "AUC (or R2) of trees trained on real rows, less that of trees trained on synthetic rows; both tested on real "
        "rows that neither saw.",
    ),
    **{
        f"utility.{model}_{score}": Meaning(
            f"{title}, {name}",
            unit,
            better,
            None,
            f"{name} on real rows after training on synthetic ones; 'perfect' is the same after training on real ones.",
        )
        for model, title in (("trees", "Gradient boosting"), ("linear", "Linear model"))
        for score, name, unit, better in _MODEL_SCORES
    },
    "privacy.dcr_share": Meaning(
        "Nearer to training than to holdout (DCR share)",
        "share",
        "target",
        0.5,
        "Share of synthetic rows nearer to the training rows than to as many held-out rows. Above 0.5 rows lean on the "
        "people in training. It sees copying on average and misses single people (arXiv 2505.01524). " + _NOT_PROOF,
    ),
    "privacy.dcr_quantile": Meaning(
        "Very near to training (DCR 2%)",
        "%",
        "target",
        2.0,
        "Share of synthetic rows nearer to a training row than the nearest 2% of held-out rows are. Above 2%: near "
        "copies. " + _NOT_PROOF,
    ),
    "privacy.distance_ratio": Meaning(
        "Nearest over second nearest training row",
        "ratio",
        "target",
        None,
        "Median distance to the nearest training row over that to the second nearest; lower than the holdout's means "
        "that rows sit upon single people. " + _NOT_PROOF,
    ),
    "privacy.copies": Meaning(
        "Exact copies of training rows",
        "%",
        "target",
        None,
        "Rows that equal a training row in every column compared. People who are alike give copies by chance: the "
        "holdout's value is the yardstick. " + _NOT_PROOF,
    ),
    **{
        f"privacy.{attack}_{score}{suffix}": Meaning(
            f"{title}, {name}{of}",
            unit,
            "lower",
            perfect,
            f"{sentence} {meaning} A weak attack proves nothing: a stronger one may come. Intervals: 95%, over the "
            "people attacked.",
        )
        for attack, title, sentence in (
            (
                "membership",
                "Membership inference",
                "An attacker who holds a person's row and the synthetic table guesses whether the person was in the "
                "training rows.",
            ),
            (
                "shadow",
                "Membership inference by shadow models",
                "An attacker who can also train the generator guesses whether a person was in the training rows.",
            ),
        )
        for suffix, of in (("", ""), ("_outliers", ", outliers"))
        for score, name, unit, perfect, meaning in (
            ("auc", "AUC", "AUC", 0.5, "0.5 is a coin, 1 is always right."),
            (
                "tpr1",
                "found at 1% false alarms",
                "share",
                0.01,
                "Share of members found while 1% of others are accused.",
            ),
            ("tpr10", "found at 10% false alarms", "share", 0.1, "Share of members found, 10% of others accused."),
        )
    },
    **{
        f"privacy.{name}": Meaning(
            title,
            "share",
            "lower",
            0.0,
            f"{sentence} The risk is the success on training rows above that on held-out rows, as a share of what was "
            f"left to gain (Anonymeter). {_NOT_PROOF}",
        )
        for name, title, sentence in (
            (
                "singling_out_univariate",
                "Singling out by one column",
                "An attacker reads values off the synthetic table that point at exactly one person.",
            ),
            (
                "singling_out_multivariate",
                "Singling out by several columns",
                "An attacker reads combinations off the synthetic table that point at exactly one person.",
            ),
            (
                "linkability",
                "Linkability",
                "An attacker joins two halves of a person's row through the synthetic table.",
            ),
            (
                "inference",
                "Inference of a secret",
                "An attacker knows all of a person's row but one cell and reads that off the nearest synthetic row.",
            ),
        )
    },
}


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        name: Its key in the catalogue, ``section.name``.
        value: What was measured; ``None`` where it could not be (``note`` says why).
        holdout: The same figure for real rows held out of training; ``None`` without.
        bootstrap: The same figure for training rows drawn with replacement; ``None`` where it says nothing.
        perfect: What a perfect generator would score; ``None`` where only the holdout can tell.
        n: Rows (or attacks, or relations) that the value rests on.
        seed: Seed of the draws.
        interval: 95% confidence interval, where there is one.
        unit: See ``Meaning``.
        note: What the figure says and cannot say, and anything particular to this one.
        better: See ``Meaning``.
        title: Short name for people.
    """

    name: str
    value: float | None
    holdout: float | None = None
    bootstrap: float | None = None
    perfect: float | None = None
    n: int = 0
    seed: int = 0
    interval: tuple[float, float] | None = None
    unit: str = ""
    note: str = ""
    better: Better = "lower"
    title: str = ""

    @classmethod
    def of(cls, name: str, value: float | None, *, note: str = "", **measured: Any) -> Figure:
        """Build a figure with the catalogue's title, unit, direction and note; ``note`` is put after the latter.

        NaN becomes ``None``: a figure that is not defined.
        """
        meaning = CATALOGUE[name]
        for key in ("holdout", "bootstrap", "perfect"):
            measured[key] = _number_or_none(measured.get(key))
        if measured["perfect"] is None:
            measured["perfect"] = meaning.perfect
        interval = measured.pop("interval", None)
        if interval is not None and not all(math.isfinite(end) for end in interval):
            interval = None
        return cls(
            name=name,
            value=_number_or_none(value),
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            unit=meaning.unit,
            note=f"{meaning.note} {note}".strip(),
            better=meaning.better,
            title=meaning.title,
            **measured,
        )

    @property
    def section(self) -> str:
        """The part of the key before the dot."""
        return self.name.partition(".")[0]


def _number_or_none(value: Any) -> float | None:
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Figures(Mapping[str, Figure]):
    """Figures by key, in order, and the tables behind them.

    Args:
        figures: The figures by key.
        tables: Aggregates by name (``column_shapes``, ``pair_trends``, ...); never rows of the data.
        notes: What was left out, and why.

    Example:
        >>> figures = Figures.of([Figure.of("fidelity.shape", 1.5, n=100)])
        >>> figures["fidelity.shape"].value, figures["fidelity.shape"].unit
        (1.5, '%')
        >>> Figures.from_plain(figures.to_plain()) == figures
        True
    """

    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, figures: Sequence[Figure], tables: Mapping[str, pd.DataFrame] | None = None, notes: Sequence[str] = ()
    ) -> Figures:
        """Build from a list of figures."""
        return cls({figure.name: figure for figure in figures}, dict(tables or {}), tuple(notes))

    def __getitem__(self, key: str) -> Figure:
        return self.figures[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __or__(self, other: Figures) -> Figures:
        return Figures(
            {**self.figures, **other.figures},
            {**self.tables, **other.tables},
            self.notes + tuple(note for note in other.notes if note not in self.notes),
        )

    def section(self, name: str) -> Figures:
        """Return the figures of one section (``fidelity``, ``utility``, ``privacy``), with all tables and notes."""
        return replace(self, figures={key: figure for key, figure in self.figures.items() if figure.section == name})

    def to_frame(self) -> pd.DataFrame:
        """Return one row a figure, indexed by key."""
        columns = [
            "title",
            "value",
            "holdout",
            "bootstrap",
            "perfect",
            "interval",
            "n",
            "seed",
            "unit",
            "better",
            "note",
        ]
        rows = [[getattr(figure, column) for column in columns] for figure in self.figures.values()]
        frame = pd.DataFrame(rows, columns=columns, index=pd.Index(list(self.figures), name="figure", dtype=object))
        numeric = ["value", "holdout", "bootstrap", "perfect"]
        frame[numeric] = frame[numeric].astype(np.float64)
        return frame

    def to_plain(self) -> dict[str, Any]:
        """Return plain data (dicts, lists, strings, numbers, ``None``) that JSON can hold."""
        return {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "figures": {
                key: {**asdict(figure), "interval": list(figure.interval) if figure.interval else None}
                for key, figure in self.figures.items()
            },
            "tables": {name: _plain_table(table) for name, table in self.tables.items()},
            "notes": list(self.notes),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Figures:
        """Read what ``to_plain`` gives.

        Raises:
            ConfigError: The data is something else.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != _FORMAT:
            raise ConfigError(Problem("figures", f"expected a mapping with format {_FORMAT!r}, as to_plain() gives"))
        if plain.get("format_version") != _FORMAT_VERSION:
            raise ConfigError(
                Problem("figures", f"expected format_version {_FORMAT_VERSION}, found {plain.get('format_version')!r}")
            )
        try:
            figures = {
                key: Figure(**{**fields, "interval": tuple(fields["interval"]) if fields.get("interval") else None})
                for key, fields in plain["figures"].items()
            }
            tables = {
                name: pd.DataFrame(table["rows"], columns=table["columns"]) for name, table in plain["tables"].items()
            }
            notes = tuple(plain["notes"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(Problem("figures", f"a part is missing or malformed ({type(error).__name__})")) from error
        return cls(figures, tables, notes)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in ("figure", "value", "holdout", "bootstrap", "perfect", "n"))
        body = []
        for figure in self.figures.values():
            value = format_number(figure.value)
            if figure.interval:
                value += f" ({format_number(figure.interval[0])} to {format_number(figure.interval[1])})"
            cells = [value] + [format_number(x) for x in (figure.holdout, figure.bootstrap, figure.perfect)]
            cells.append(f"{figure.n:,}")
            label = html.escape(f"{figure.title} [{figure.unit}]")
            body.append(
                f'<tr title="{html.escape(figure.note, quote=True)}"><th style="text-align:left">{label}</th>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + "</tr>"
            )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def format_number(value: float | None) -> str:
    """Return a number with four significant digits, a dash for none.

    Example:
        >>> format_number(0.50342), format_number(None), format_number(12345.6)
        ('0.5034', '–', '12,346')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _plain_table(table: pd.DataFrame) -> dict[str, Any]:
    rows = [[_plain_cell(cell) for cell in row] for row in table.itertuples(index=False, name=None)]
    return {"columns": [str(column) for column in table.columns], "rows": rows}


def _plain_cell(cell: Hashable) -> Any:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if isinstance(cell, (int, np.integer)):
        return int(cell)
    if isinstance(cell, (float, np.floating)):
        return float(cell) if math.isfinite(cell) else None
    return str(cell)


@dataclass(frozen=True)
class Breach:
    """A figure beyond its limit.

    Args:
        key: The figure's key.
        value: What was measured; ``None`` where it was not, which passes no limit.
        bound: ``"max"`` or ``"min"``.
        limit: The limit.
    """

    key: str
    value: float | None
    bound: str
    limit: float

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.key}: not measured, but a limit ({self.bound} {self.limit:g}) is set"
        side = "above" if self.bound == "max" else "below"
        return f"{self.key}: {format_number(self.value)} is {side} the limit {self.limit:g}"


def _is_number(limit: Any) -> bool:
    return isinstance(limit, (int, float)) and not isinstance(limit, bool) and math.isfinite(limit)


def check_limits(figures: Mapping[str, Figure], limits: Mapping[str, Mapping[str, float]]) -> list[Breach]:
    """Return the figures beyond their limits.

    Args:
        figures: The figures measured.
        limits: By key of the catalogue ``{"max": number}``, ``{"min": number}`` or both; a figure equal to its limit
            passes. A figure that was not measured is a breach: an unmeasured risk must not pass a gate.

    Raises:
        ConfigError: An unknown key or bound, or a bound that is no number; all of them at once.

    Example:
        >>> measured = Figures.of([Figure.of("fidelity.shape", 2.5)])
        >>> [str(breach) for breach in check_limits(measured, {"fidelity.shape": {"max": 2}})]
        ['fidelity.shape: 2.5 is above the limit 2']
    """
    if not isinstance(limits, Mapping):
        raise ConfigError(Problem("limits", f"expected a mapping of figures to bounds, found {type(limits).__name__}"))
    problems: list[Problem] = []
    breaches: list[Breach] = []
    for key, bounds in limits.items():
        where = f"limits.{key}"
        if key not in CATALOGUE:
            problems.append(Problem(where, f"no figure has this key{did_you_mean(key, CATALOGUE)}", ConfigError))
            continue
        if not isinstance(bounds, Mapping) or not bounds:
            problems.append(Problem(where, "expected max: number, min: number, or both", ConfigError))
            continue
        for bound, limit in bounds.items():
            if bound not in ("max", "min"):
                message = f"unknown bound {bound!r}{did_you_mean(bound, ('max', 'min'))}; expected max or min"
                problems.append(Problem(where, message, ConfigError))
            elif not _is_number(limit):
                problems.append(Problem(f"{where}.{bound}", "expected a finite number", ConfigError))
            else:
                value = figures[key].value if key in figures else None
                beyond = value is None or (value > limit if bound == "max" else value < limit)
                if beyond:
                    breaches.append(Breach(key, value, bound, float(limit)))
        if _is_number(bounds.get("min")) and _is_number(bounds.get("max")) and bounds["min"] > bounds["max"]:
            problems.append(Problem(where, "min is above max: no figure can meet both", ConfigError))
    if problems:
        raise ConfigError.of(problems)
    return breaches
