"""Figures: what an evaluation measured, each beside what a perfect generator would score, as plain data and as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.html_table import html_table
from clover_tvae.errors import ConfigError, Problem
from clover_tvae.evaluation.catalogue import CATALOGUE, Better

_FORMAT = {"format": "clover-tvae-figures", "format_version": 1}


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        name: Its key in the catalogue, ``section.name``.
        value: What was measured; ``None`` where it could not be (``note`` says why).
        holdout: The same figure for real rows held out of training; of a figure that is measured against these
            (``..._heldout``), for the learnt rows; ``None`` without.
        bootstrap: The same figure for training rows drawn with replacement; ``None`` where it says nothing.
        perfect: What a perfect generator would score; ``None`` where only the holdout can tell.
        n: Rows (or attacks, or relations) that the value rests on.
        seed: Seed of the draws.
        interval: 95% confidence interval, where there is one.
        note: What the figure says and cannot say, and anything particular to this one.
        p: Where it is a test: how often chance alone gives a value so bad, from 0 to 1.
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
    p: float | None = None

    @classmethod
    def of(cls, name: str, value: float | None, *, note: str = "", **measured: Any) -> Figure:
        """Build a figure with the catalogue's title, unit, direction and note; ``note`` is put after the latter.

        NaN becomes ``None``: a figure that is not defined.
        """
        meaning = asdict(CATALOGUE[name])
        measured["value"] = value
        for key in ("value", "holdout", "bootstrap", "perfect"):
            measured[key] = _number_or_none(measured.get(key))
        if measured["perfect"] is None:
            measured["perfect"] = meaning["perfect"]
        low, high = (_number_or_none(end) for end in measured.get("interval") or (None, None))
        measured["interval"] = None if low is None or high is None else (low, high)
        return cls(name, **{**meaning, **measured, "note": f"{meaning['note']} {note}".strip()})

    @property
    def section(self) -> str:
        """The part of the key before the dot."""
        return self.name.partition(".")[0]

    @property
    def why_unmeasured(self) -> str:
        """Why there is no value, as far as that is known.

        Example:
            >>> Figure.of("privacy.dcr_share", None, note="Not measured: too few rows.").why_unmeasured
            'too few rows.'
        """
        return self.note.partition("Not measured: ")[2] if self.value is None else ""


def _number_or_none(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Figures(Mapping[str, Figure]):
    """Figures by key, in order, and the tables behind them.

    Args:
        figures: The figures by key.
        tables: Aggregates by name (``column_shapes``, ``pair_trends``, ...); never rows of the data.
        notes: What was left out, and why.
        weak_holdout: Why the holdout is a weak yardstick, in a few words; empty where it is none.

    Example:
        >>> figures = Figures.of([Figure.of("fidelity.shape", 1.5, n=100)])
        >>> figures["fidelity.shape"].value, figures["fidelity.shape"].unit
        (1.5, '%')
        >>> figures
        Figures(1 fidelity)
        >>> Figures.from_plain(figures.to_plain()) == figures
        True
    """

    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = ()
    weak_holdout: str = ""

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
            self.weak_holdout or other.weak_holdout,
        )

    def section(self, name: str) -> Figures:
        """Return the figures of one section (``fidelity``, ``utility``, ``privacy``), with all tables and notes."""
        return replace(self, figures={key: figure for key, figure in self.figures.items() if figure.section == name})

    def to_frame(self) -> pd.DataFrame:
        """Return one row a figure, indexed by key."""
        columns = "title value holdout bootstrap perfect interval p n seed unit better note".split()
        rows = [[getattr(figure, column) for column in columns] for figure in self.figures.values()]
        frame = pd.DataFrame(rows, columns=columns, index=pd.Index(list(self.figures), name="figure", dtype=object))
        numeric = ["value", "holdout", "bootstrap", "perfect"]
        frame[numeric] = frame[numeric].astype(np.float64)
        return frame

    def to_plain(self) -> dict[str, Any]:
        """Return plain data (dicts, lists, strings, numbers, ``None``) that JSON can hold."""
        return {
            **_FORMAT,
            "figures": {
                key: asdict(figure) | {"interval": figure.interval and list(figure.interval)}
                for key, figure in self.figures.items()
            },
            "tables": {name: _plain_table(table) for name, table in self.tables.items()},
            "notes": list(self.notes),
            "weak_holdout": self.weak_holdout,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Figures:
        """Read what ``to_plain`` gives.

        Raises:
            ConfigError: The data is something else.
        """
        found = {key: plain.get(key) for key in _FORMAT} if isinstance(plain, Mapping) else type(plain).__name__
        if found != _FORMAT:
            raise ConfigError(Problem("figures", f"must have {_FORMAT}, as to_plain() gives, found {found}"))
        try:
            figures = {
                key: Figure(**fields | {"interval": fields.get("interval") and tuple(fields["interval"])})
                for key, fields in plain["figures"].items()
            }
            tables = {
                name: pd.DataFrame(part["rows"], columns=part["columns"]) for name, part in plain["tables"].items()
            }
            notes, weak_holdout = tuple(plain["notes"]), str(plain.get("weak_holdout", ""))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(Problem("figures", f"a part is missing or malformed ({type(error).__name__})")) from error
        return cls(figures, tables, notes, weak_holdout)

    def __repr__(self) -> str:
        sections = Counter(figure.section for figure in self.figures.values())
        return f"Figures({', '.join(f'{n} {name}' for name, n in sections.items()) or 'none'})"

    def _repr_html_(self) -> str:
        rows = [
            (
                figure.title or figure.name,
                figure.unit,
                format_number(figure.value),
                " to ".join(map(format_number, figure.interval or ())),
                *map(format_number, (figure.holdout, figure.bootstrap, figure.perfect)),
                f"{figure.n:,}",
            )
            for figure in self.figures.values()
        ]
        head = ("figure", "unit", "synthetic", "95% interval", "real rows", "bootstrap", "perfect", "n")
        return html_table("Figures of the synthetic rows", head, rows)


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
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, float):
        return _number_or_none(cell)
    return cell if cell is None or isinstance(cell, str | bool | int) else str(cell)
