"""Attribute disclosure: are the cells of members guessed from the synthetic rows more often than those of other people?

The attacker holds all cells of a person but one, and takes that one from the nearest synthetic row. A number is right
within 2.5% of the ranks to each side. What is guessed alike of people who were not learnt is what the rows tell of
everybody: only the members' lead over them is disclosure by the rows.

References:
    Pilgram et al., Patterns 2025: members beside non-members, absolute and relative.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from clover_tvae.columns.people import one_row_each
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, nearest
from clover_tvae.seeds import Measure, generator, of_measure

__all__ = ["attribute_figures"]

_N_TARGETS = 1_000  # most members, and most others
_N_ROWS = 10_000  # most synthetic rows searched
_N_SECRETS = 20  # most columns taken as the secret one
_NEAR = 0.025  # of the ranks: how near a guessed number must be


def attribute_figures(tables: CodedTables, *, seed: int, disclosure: Disclosure) -> Figures:
    """Return the members' lead over others, and a table of both and of a naive guess, a row a secret column.

    Args:
        tables: With the roles ``real`` (members), ``holdout`` (others) and ``synthetic``.
        seed: Seed of the draws.
        disclosure: Fewest people that a share may rest on.
    """
    rng = generator(of_measure(seed, Measure.ATTRIBUTE))
    people = [
        tables[role].take(one_row_each(tables[role].people, tables[role].n_rows, rng)) for role in ("real", "holdout")
    ]
    n = min(_N_TARGETS, *(table.n_rows for table in people))
    targets = people[0].take(slice(n)).append(people[1].take(slice(n)))
    synthetic = tables["synthetic"].draw(_N_ROWS, rng)
    secrets = sorted(rng.permutation(len(tables.names))[:_N_SECRETS].tolist())
    right, rows = [], []
    for secret in [tables.names[position] for position in secrets] if len(tables.names) > 1 else []:
        number = secret in tables.number_names
        column = (tables.number_names if number else tables.category_names).index(secret)
        hidden, drawn, left = (
            _hidden(targets, column, number),
            _hidden(synthetic, column, number),
            _without(tables, column, number),
        )
        space = MixedSpace(hidden[0], left)
        _, found = nearest(space.place(hidden[0]), space.place(drawn[0]))
        guesses = _right(hidden[1], drawn[1][found[:, 0]], number)
        naive = _right(hidden[1], np.full(2 * n, _usual(drawn[1], number)), number)
        right.append(guesses)
        shares = [disclosure.share(int(part.sum()), n) for part in (guesses[:n], guesses[n:])]
        rows.append((secret, *shares, disclosure.share(int(naive.sum()), 2 * n)))
    table = pd.DataFrame(rows, columns=["column", "members", "others", "naive"]).astype({"column": object})
    if not right or not disclosure.may_name(n):
        return Figures.of([Figure.of("privacy.attribute_gain", None, seed=seed, note="Not measured: too little.")])
    mean = np.mean(right, axis=0)
    inside, outside = mean[:n], mean[n:]
    gain = float(inside.mean() - outside.mean())
    error = float(np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / n)) or 1e-12
    usual = float(np.nanmean(table["naive"])) if table["naive"].notna().any() else float("nan")
    note = (
        f"{inside.mean():.1%} right for members, {outside.mean():.1%} for others (ratio "
        f"{inside.mean() / max(outside.mean(), 1e-12):.2f}), {usual:.1%} by naming the usual value. "
        f"Mean over {len(right)} secret columns."
    )
    interval = (gain - 1.96 * error, gain + 1.96 * error)
    figure = Figure.of(
        "privacy.attribute_gain", gain, interval=interval, p=float(norm.sf(gain / error)), n=2 * n, seed=seed, note=note
    )
    return Figures.of([figure], {"attribute": table})


def _hidden(table: CodedTable, column: int, number: bool) -> tuple[CodedTable, NDArray[Any]]:
    part = "numbers" if number else "codes"
    cells = getattr(table, part)
    return replace(table, **{part: np.delete(cells, column, axis=1)}), cells[:, column]


def _without(tables: CodedTables, column: int, number: bool) -> CodedTables:
    left = {role: _hidden(table, column, number)[0] for role, table in tables.tables.items()}
    if number:
        return replace(tables, tables=left)
    return replace(tables, tables=left, categories=tables.categories[:column] + tables.categories[column + 1 :])


def _right(secret: NDArray[Any], guess: NDArray[Any], number: bool) -> NDArray[Any]:
    if not number:
        return secret == guess
    known = np.sort(secret[~np.isnan(secret)])
    places = [
        (np.searchsorted(known, cells, "left") + np.searchsorted(known, cells, "right")) / (2 * max(len(known), 1))
        for cells in (secret, guess)
    ]
    gaps = np.isnan(secret), np.isnan(guess)
    return np.where(gaps[0] | gaps[1], gaps[0] & gaps[1], np.abs(places[0] - places[1]) <= _NEAR)


def _usual(cells: NDArray[Any], number: bool) -> float:
    if number:
        return float(np.nanmedian(cells)) if np.isnan(cells).mean() < 0.5 else float("nan")
    values, counts = np.unique(cells, return_counts=True)
    return float(values[counts.argmax()])
