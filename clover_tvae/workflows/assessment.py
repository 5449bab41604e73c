"""How good a generator's rows are: real rows held out, synthetic ones drawn, measured against real rows, reported, and held against limits.

This module knows the synthesizer's public face, the evaluation and the report. It knows no job file and no command line.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.people import drawn_people, people_of
from clover_tvae.conditions import number_of
from clover_tvae.errors import ConfigError, PrivacyWarning, TooFewRowsError
from clover_tvae.evaluation import Figure, Figures, check_limits, measure, membership_shadow, privacy
from clover_tvae.evaluation.catalogue import OF_GENERATOR
from clover_tvae.evaluation.limits import Limits
from clover_tvae.evaluation.privacy import MIN_ROWS
from clover_tvae.metadata import Metadata
from clover_tvae.seeds import mixed
from clover_tvae.workflows.attackers import attackers
from clover_tvae.workflows.timed import timed

if TYPE_CHECKING:
    from clover_tvae.report import Dossier
    from clover_tvae.synthesizer import Synthesizer

DEFAULT_HOLDOUT = 0.1  # share of the rows, as in the published protocols
_PURPOSE = 0x401D
_N_DRAWS = 10  # tables of the generator that a dossier tells of
_DECODED = {
    "sample": "independent draws",
    "stratified": "stratified draws, whose shares follow the learnt ones more exactly than chance has it: Shape is flattered",
    "argmax": "the likeliest value of each cell",
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows that are to leave the house.

    Args:
        place: Where they go, as messages call it.
        rows: The very rows.
        seed: The seed that drew them.
        decode: How they were decoded.
        is_odd: Whether they were asked to meet conditions: unlike the table on purpose, they are judged by privacy alone.
        again: Draws as many in the same way, for each number others.
    """

    place: str
    rows: pd.DataFrame
    seed: int
    decode: str
    is_odd: bool
    again: Callable[[int], pd.DataFrame]


def split_holdout(
    df: pd.DataFrame, fraction: float = DEFAULT_HOLDOUT, seed: int = 0, unit: Hashable | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to learn and the rows to hold out, both in their order, with fresh indices.

    Args:
        fraction: Share of the rows to hold out, above 0 and below 1.
        seed: The same seed and table give the same split.
        unit: The column that tells people apart: all rows of a person are on one side, and at most the share is held out.

    Raises:
        ConfigError: ``fraction`` is out of range.
        TooFewRowsError: Less than two rows would be left on a side.

    Example:
        >>> import pandas as pd
        >>> train, holdout = split_holdout(pd.DataFrame({"x": range(10)}), 0.3)
        >>> len(train), len(holdout), set(train["x"]) & set(holdout["x"])
        (7, 3, set())
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"must be a share of the rows above 0 and below 1, found {fraction:g}", "holdout")
    rng = np.random.default_rng(np.random.SeedSequence([seed, _PURPOSE]))
    held = drawn_people(people_of(df, unit), len(df), round(len(df) * fraction), rng)
    n_held = int(held.sum())
    if n_held < 2 or len(df) - n_held < 2:
        message = f"{fraction:g} of {len(df)} rows leaves fewer than 2 rows on a side; give more rows or another share"
        raise TooFewRowsError(message, "holdout")
    return df[~held].reset_index(drop=True), df[held].reset_index(drop=True)


def as_learnt(synth: Synthesizer, df: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the texts of its categories as numbers, where the generator learnt numbers.

    A CSV file holds categories as text; a DataFrame, or a Parquet file, may hold whole numbers.
    """
    learnt, read = synth.sample(0, random_state=0), df.copy(deep=False)
    for name in set(synth.metadata.of_kind("categorical", "ordinal")) & {*learnt} & {*df}:
        dtype = learnt[name].dtype
        dtype = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
        if pd.api.types.is_numeric_dtype(dtype) and CellType.of(df[name], name).is_text:
            cells = df[name].astype(object)
            read[name] = cells.map(lambda cell: cell if (number := number_of(cell)) is None else number)
    return read


def assess(
    synth: Synthesizer,
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    metadata: Metadata,
    *,
    leaving: Sequence[Drawn] = (),
    doubt: str = "",
    notes: Sequence[str] = (),
    seed: int = 0,
    limits: Limits | None = None,
    report: Path | None = None,
    dossier: Path | None = None,
    about: Mapping[str, str] | None = None,
    title: str = "Synthetic data report",
    tell: Callable[[str], object] = lambda text: None,
) -> list[str]:
    """Measure the rows that are to leave, write the pages of them, and say which limits are passed.

    All rows together are attacked. Likeness and usefulness are those of the rows that were drawn without conditions; where
    these are too few, of as many fresh rows as were learnt. Limits hold for the pages and for each sample by itself.

    Args:
        synth: A fitted synthesizer, which learnt ``train`` and never saw ``holdout``.
        leaving: The very rows; without any, the pages are of fresh ones.
        doubt: Why ``holdout`` may have been learnt: then no test of privacy that finds nothing counts as measured, and no
            limit of privacy is kept.
        notes: What else stands at the top of the pages.
        seed: Seed of fresh rows and of the figures.
        report, dossier: Where to write them, the dossier as JSON, too; ``None`` writes none.
        about: Fields of the dossier.
        tell: Called with a line as each stage ends.

    Returns:
        A sentence for each limit that is passed.
    """
    train, holdout = as_learnt(synth, train), None if holdout is None else as_learnt(synth, holdout)
    leaving, limits = [drawn for drawn in leaving if len(drawn.rows)], limits or {}
    how: dict[str, Any] = {"seed": seed, "min_count": synth.min_count}
    usual = [drawn for drawn in leaving if not drawn.is_odd]
    usual = usual if sum(len(drawn.rows) for drawn in usual) >= MIN_ROWS else []

    def measured(
        tables: Mapping[str, pd.DataFrame], fresh: int, *, are_learnt: bool = False
    ) -> tuple[pd.DataFrame, Figures]:
        """Return the rows whose likeness is told, and the figures, of one table of each sample; an attacker may learn the rows."""
        alike = [tables[drawn.place] for drawn in usual] or [synth.sample(len(train), random_state=fresh)]
        shown = pd.concat(alike, ignore_index=True)
        scorers = attackers(shown, metadata, synth, seed=seed) if are_learnt else None
        figures = measure(train, shown, holdout, metadata, scorers=scorers, **how)
        if len(usual) < len(leaving):
            attacked = privacy(train, pd.concat(tables.values(), ignore_index=True), holdout, metadata, **how)
            of_file = {name: table for name, table in figures.tables.items() if name not in ("membership", "attribute")}
            figures = replace(figures, tables=of_file) | attacked
        return shown, figures

    def kept(figures: Figures) -> Figures:
        return _doubted(figures, doubt) if doubt else figures

    def told(figures: Figures) -> Figures:
        return _doubted(figures, doubt, _leaks_of(figures)) if doubt else figures

    with timed(f"measured {sum(len(drawn.rows) for drawn in leaving) or len(train):,} rows", tell):
        every = {drawn.place: drawn.rows for drawn in leaving}
        shown, figures = measured(every, seed, are_learnt=True)
        breaches = list(map(str, check_limits(kept(figures), limits)))
        of_rows = {key: limits[key] for key in limits if not key.startswith(OF_GENERATOR)}
        for drawn in leaving if len(leaving) > 1 or not usual else ():  # else these are the page's rows
            held = {key: of_rows[key] for key in of_rows if key.startswith("privacy.") or not drawn.is_odd}
            found = check_limits(kept(measure(train, drawn.rows, holdout, metadata, **how)), held) if held else []
            breaches += [f"{drawn.place}: {breach}" for breach in found]
    figures = told(replace(figures, notes=(*notes, *figures.notes)))
    made = _made(leaving, usual, len(shown), synth.decode)
    if report is not None:
        from clover_tvae.report import about_generator, write_report

        with timed("wrote the report", tell):
            options: dict[str, Any] = {"figures": figures, "seed": seed, "title": title, "made": made}
            options |= about_generator(synth, train, shown)
            write_report(report, train, shown, holdout=holdout, metadata=metadata, **options)
    if dossier is not None and holdout is not None:
        with timed("wrote the dossier", tell):
            tables = ({drawn.place: drawn.again(i) for drawn in leaving} for i in range(1, _N_DRAWS))
            again = (told(measured(table, _other(i))[1]) for i, table in enumerate(tables, start=1))
            said: dict[str, Any] = {"figures": figures, "about": about or {}, "made": made, "draws": again, **how}
            dossier_of(synth, train, shown, holdout, metadata, **said).save(dossier)
    return breaches


def _made(leaving: Sequence[Drawn], usual: Sequence[Drawn], n_shown: int, decode: str) -> str:
    """Say, for a page, which rows the synthetic ones are and how they were drawn."""

    def decoded(name: str) -> str:
        return f"decoded as {name!r} ({_DECODED[name]})"

    if not leaving:
        return f"{n_shown:,} drawn for this page, {decoded(decode)}; none are written."
    each = [
        f"{len(drawn.rows):,} to {drawn.place}{' under conditions' * drawn.is_odd}, {decoded(drawn.decode)}"
        for drawn in leaving
    ]
    told = f"those that are written: {'; '.join(each)}."
    if not usual:
        told += f" Likeness and usefulness are those of {n_shown:,} rows drawn for this page, {decoded(decode)}."
    elif len(usual) < len(leaving):
        told += " Likeness and usefulness are those of the rows drawn without conditions."
    return told


def _leaks_of(figures: Figures) -> Sequence[str]:
    """Return the keys of the figures of privacy that find a leak."""
    from clover_tvae.report import readings

    return [
        reading.key for reading in readings(figures) if reading.section == "privacy" and reading.reading == "leak found"
    ]


def _doubted(figures: Figures, why: str, kept: Sequence[str] = ()) -> Figures:
    """Return figures without those of privacy, but ``kept``, because the people held out may have been learnt."""
    note = f"Not measured: {why}."
    left = {
        key: figure
        if figure.section != "privacy" or key in kept
        else Figure.of(key, None, n=figure.n, seed=figure.seed, note=note)
        for key, figure in figures.items()
    }
    gone = [
        name for name in ("membership", "file", "attribute") if not any(k.startswith(f"privacy.{name}") for k in kept)
    ]
    tables = {name: table for name, table in figures.tables.items() if name not in gone}
    return replace(figures, figures=left, tables=tables, notes=(f"{why[:1].upper()}{why[1:]}.", *figures.notes))


def _other(number: int) -> int:
    """Return a seed of a further table, which is nobody's seed of the rows."""
    return mixed(_PURPOSE, number)


def dossier_of(
    synth: Synthesizer | None,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    metadata: Metadata,
    *,
    full: bool = False,
    **options: Any,
) -> Dossier:
    """Return the dossier of rows, with more draws of their generator where there is one.

    Args:
        synth: The generator, which learnt ``train`` and never saw ``holdout``.
        full: Whether the generator is trained anew, too, which takes hours.
        **options: Those of ``build_dossier``: ``figures``, ``about``, ``made``, ``draws``, ``seed`` and ``min_count``.
    """
    from clover_tvae.report import build_dossier

    if synth is not None:
        options |= {"card": synth.card(), "learnt_holdout": synth.learnt_more(train)}
        n_rows = len(synthetic)
        again = (synth.sample(n_rows, random_state=_other(i)) for i in range(1, _N_DRAWS))
        refits = (refitted(synth, train, i, n_rows) for i in range(1, _N_DRAWS)) if full else ()
        options = {"draws": again, "refits": refits, **options}
    return build_dossier(train, synthetic, holdout, metadata, **options)


def attack_with_shadow_models(
    synth: Synthesizer, real: pd.DataFrame, holdout: pd.DataFrame | None, *, n_models: int, seed: int = 0
) -> Figures:
    """Train the generator's pipeline again and again on half tables, and guess who was in which half.

    Args:
        synth: A fitted synthesizer: its backend and parameters are what is trained again.
        holdout: Real rows that it never saw; they join the halves.
        n_models: Fits, at least 4; each takes about as long as the generator's own training.
        seed: Seed of halves, fits and targets.

    Returns:
        The ``privacy.shadow_*`` figures.

    Raises:
        ConfigError: ``n_models`` is below 4.
        TooFewRowsError: There are fewer than 40 rows.
    """
    everyone = real if holdout is None else pd.concat([real, holdout], ignore_index=True)
    return membership_shadow(partial(refitted, synth), everyone, synth.metadata, k=n_models, seed=seed)


def refitted(synth: Synthesizer, rows: pd.DataFrame, seed: int, n_rows: int | None = None) -> pd.DataFrame:
    """Train the generator's pipeline again on these rows, and draw as many, or ``n_rows``."""
    from clover_tvae.synthesizer import Synthesizer

    card = synth.card()
    known = inspect.signature(Synthesizer).parameters
    parameters = {name: value for name, value in card["parameters"].items() if name in known and value is not None}
    if card["privacy"]["mode"] == "student":  # its own sizes are not its teacher's: both find theirs again
        parameters = {name: parameters.get(name) for name in ("min_count", "exact_values")} | synth.given
    privacy = card["privacy"]["mode"] if card["backend"] == "native" else None
    options = parameters | {"privacy": privacy, "backend": card["backend"], "random_state": seed, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)  # its file does not leave
        again = Synthesizer(rows, synth.metadata, **options).fit()
    return again.sample(len(rows) if n_rows is None else n_rows, random_state=seed, decode=synth.decode)
