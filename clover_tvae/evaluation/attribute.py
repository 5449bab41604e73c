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

from clover_tvae.columns.people import one_row_each
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, nearest
from clover_tvae.seeds import Measure, generator, of_measure

_N_TARGETS = 1_000  # most members, and most others
_N_ROWS = 10_000  # most synthetic rows searched
_N_SECRETS = 20  # most columns taken as the secret one
_NEAR = 0.025  # of the ranks: how near a guessed number must be


def attribute_figures(tables: CodedTables, *, seed: int, disclosure: Disclosure) -> Figures:
    """Return the lead of members (the role ``real``) over others (``holdout``), and a table of both and of a naive guess, a row a secret column."""
    rng = generator(of_measure(seed, Measure.ATTRIBUTE))
    people = [
        tables[role].take(one_row_each(tables[role].people, tables[role].n_rows, rng)) for role in ("real", "holdout")
    ]
    n = min(_N_TARGETS, *(table.n_rows for table in people))
    targets = people[0].take(slice(n)).append(people[1].take(slice(n)))
    attacked = replace(tables, tables={"targets": targets, "synthetic": tables["synthetic"].draw(_N_ROWS, rng)})
    secrets = sorted(rng.permutation(len(tables.names))[:_N_SECRETS].tolist())
    right, rows = [], []
    for secret in [tables.names[position] for position in secrets] if len(tables.names) > 1 else []:
        known = attacked.without(secret)
        space = MixedSpace(known["targets"], known)
        _, found = nearest(space.place(known["targets"]), space.place(known["synthetic"]))
        hidden, drawn = (attacked.cells(role, secret) for role in ("targets", "synthetic"))
        guesses, naive = _right(hidden, drawn[found[:, 0]]), _right(hidden, np.full(2 * n, _usual(drawn), drawn.dtype))
        right.append(guesses)
        shares = [disclosure.share(int(part.sum()), n) for part in (guesses[:n], guesses[n:])]
        rows.append((secret, *shares, disclosure.share(int(naive.sum()), 2 * n)))
    columns = ["column", "members", "others", "naive"]
    table = pd.DataFrame(rows, columns=columns, dtype=object).astype(dict.fromkeys(columns[1:], float))
    if not right or not disclosure.may_name(n):
        return Figures.of([Figure.of("privacy.attribute_gain", None, seed=seed, note="Not measured: too little.")])
    from scipy.stats import norm

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


def _right(secret: NDArray[Any], guess: NDArray[Any]) -> NDArray[Any]:
    if secret.dtype != np.float64:
        return np.asarray(secret == guess)
    known = np.sort(secret[~np.isnan(secret)])
    left, right = (np.searchsorted(known, np.stack([secret, guess]), side) for side in ("left", "right"))
    places = (left + right) / (2 * max(len(known), 1))
    gaps = np.isnan(secret), np.isnan(guess)
    return np.where(gaps[0] | gaps[1], gaps[0] & gaps[1], np.abs(places[0] - places[1]) <= _NEAR)


def _usual(cells: NDArray[Any]) -> float:
    if cells.dtype == np.float64:
        return float(np.nanmedian(cells)) if np.isnan(cells).mean() < 0.5 else float("nan")
    values, counts = np.unique(cells, return_counts=True)
    return float(values[counts.argmax()])
