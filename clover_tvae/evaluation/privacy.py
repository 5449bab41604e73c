"""Privacy: what do the synthetic rows give away of the training rows?

Brings together copies, membership inference, attribute disclosure and distances to the closest record. It calls no table private or anonymous: an
attack that fails proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.frames import takes_frames
from clover_tvae.columns.people import drawn_people
from clover_tvae.evaluation.attribute import attribute_figures
from clover_tvae.evaluation.catalogue import CATALOGUE
from clover_tvae.evaluation.closest import ClosestRecords, closest_records
from clover_tvae.evaluation.copies import alike, copies_of, require_fresh, without_learnt_holdout
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTables, code_tables
from clover_tvae.evaluation.identifiers import identifier_figure
from clover_tvae.evaluation.membership import AttackScore, Scorer, attack_figures, attack_membership
from clover_tvae.evaluation.shadow_models import membership_shadow
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.seeds import Measure, generator, of_measure

__all__ = ["attack_on_nobody", "dcr", "membership_shadow", "privacy", "privacy_figures"]

_MOST_ALIKE = 0.25  # of the rows held out that equal a learnt one
MIN_ROWS = 40  # of the training and of the held-out rows, for any figure of privacy
_NEEDS_HOLDOUT = [key for key in CATALOGUE if key.startswith(("privacy.d", "privacy.membership_", "privacy.attribute"))]


@takes_frames
def dcr(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    metadata: Any = None,
    seed: int = 0,
    max_rows: int = 5_000,
) -> ClosestRecords:
    """Return the distances to the closest records: ``share`` (0.5 is perfect) and ``quantile_share`` (0.02 is).

    Args:
        train: The rows that the generator was trained on.
        holdout: Real rows that it never saw.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide.
        max_rows: Most synthetic rows whose neighbours are sought.

    Raises:
        DataError: The tables cannot be compared; all problems at once.
    """
    tables = {"real": train, "holdout": holdout, "synthetic": synthetic}
    return closest_records(code_tables(tables, metadata), seed=seed, max_rows=max_rows)


@takes_frames
def privacy(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None,
    metadata: Any = None,
    seed: int = 0,
    min_count: int = MIN_COUNT,
) -> Figures:
    """Attack a synthetic table and say what the attacks found.

    Args:
        train: The rows that the generator was trained on.
        holdout: Real rows that it never saw: every figure of privacy is a comparison with them. With ``None``, or
            fewer than 40 rows, all but the copies are left without a value.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide.
        min_count: Fewest people that the attack on one group may rest on, and who must share a row for it to be no rare
            one; see ``Disclosure``.

    Returns:
        The ``privacy`` figures of the catalogue, but those of the file and of shadow models (``membership_shadow``). Tables:
        ``membership``, each attack by itself; ``attribute``, each secret column by itself.

    Raises:
        DataError: The tables cannot be compared; all problems at once. Or the holdout holds the rows of the real table.
    """
    frames = {"real": train, "synthetic": synthetic, "holdout": holdout}
    tables = code_tables(frames, metadata).in_one_order()
    require_fresh(tables)
    return privacy_figures(without_learnt_holdout(tables), frames, seed=seed, disclosure=Disclosure(min_count))


def privacy_figures(
    tables: CodedTables,
    frames: Mapping[str, pd.DataFrame | None] | None = None,
    scorers: Mapping[str, Mapping[str, Scorer]] | None = None,
    *,
    seed: int,
    disclosure: Disclosure,
) -> Figures:
    """Return what ``privacy`` does, for tables in the roles ``real``, ``synthetic`` and perhaps ``holdout``.

    ``scorers`` are further attacks, see ``attack_membership``.
    """
    named = identifier_figure(tables, frames, seed=seed, min_count=disclosure.min_count)
    copies = [*_copies(tables, seed, disclosure), named]
    too_alike = "".join(alike(tables, _MOST_ALIKE)) if "holdout" in tables.tables else ""
    if too_alike:  # then who is held out is no yardstick of chance
        copies = [replace(figure, p=None) for figure in copies]
    if why := too_alike or _too_small(tables):
        unmeasured = [Figure.of(key, None, seed=seed, note=f"Not measured: {why}") for key in _NEEDS_HOLDOUT]
        return Figures.of([*copies, *unmeasured], notes=[tables.learnt_holdout or f"Privacy was not measured: {why}"])

    def note(score: AttackScore) -> str:
        attacked = f"{score.n_members:,} members and {score.n_others:,} others attacked"
        return f"{attacked}; so few that an AUC under {score.seen_from:.2f} could be chance."

    found = attack_membership(tables, frames, scorers, seed=seed)
    figures = Figures.of(copies)
    for kind, results in found.items():
        figures |= attack_figures(kind, results, note, seed=seed, disclosure=disclosure)
    figures |= attribute_figures(tables, seed=seed, disclosure=disclosure)
    return figures | Figures.of(_closest_figures(closest_records(tables, seed=seed), seed))


def attack_on_nobody(tables: CodedTables, *, seed: int) -> dict[str, AttackScore]:
    """Attack held-out people as if half of them had been learnt: what the attacks find where there is nothing to find.

    Returns:
        The scores of random people by attack; none where the halves are too small.
    """
    held = tables["holdout"]
    rng = generator(of_measure(seed, Measure.MEMBERSHIP))
    halves = drawn_people(held.people, held.n_rows, held.n_rows // 2, rng)
    nobody = {"real": held.take(halves), "holdout": held.take(~halves), "synthetic": tables["synthetic"]}
    split = replace(tables, tables=nobody)
    return {} if _too_small(split) else attack_membership(split, seed=seed)["membership"]["random"]


def _too_small(tables: CodedTables) -> str | None:
    if tables.learnt_holdout:
        return tables.learnt_holdout
    if "holdout" not in tables.tables:
        return "no holdout was given, and each of these figures is a comparison with people who were not in training."
    for role in ("real", "holdout", "synthetic"):
        n_people, what = tables[role].n_people, "rows" if tables[role].people is None else "people"
        if n_people < MIN_ROWS:
            return f"the {role} table has {n_people} {what}, and at least {MIN_ROWS} are needed."
    return None


def _copies(tables: CodedTables, seed: int, disclosure: Disclosure) -> list[Figure]:
    rows = {role: table.row_hashes for role, table in tables.tables.items()}
    shares = {role: 100 * float(np.isin(found, rows["real"]).mean()) for role, found in rows.items() if role != "real"}
    found, n_rows = copies_of(tables, disclosure.min_count), tables["synthetic"].n_rows
    size: dict[str, Any] = {"n": n_rows, "seed": seed}
    floors: dict[str, Any] = {"holdout": shares.get("holdout"), "bootstrap": 100.0}
    note = f"{found.of_learnt:,} of {n_rows:,} rows equal a training row."
    if "holdout" in tables.tables:
        note = f"{note[:-1]}, {found.of_held:,} one of {tables['holdout'].n_rows:,} held-out rows."
    of_rare = f"Shared by fewer than {disclosure.min_count} people; by chance {found.expected:.2g} would be copied."
    return [
        Figure.of("privacy.copies", shares["synthetic"], p=found.p, note=note, **floors, **size),
        Figure.of("privacy.copied_rare", found.rare, p=found.p_rare, note=of_rare, **size),
    ]


def _closest_figures(closest: ClosestRecords, seed: int) -> list[Figure]:
    size: dict[str, Any] = {"n": closest.n_synthetic, "seed": seed}
    note = f"{closest.n_reference:,} training and as many held-out rows compared."
    percents = tuple(100 * end for end in closest.quantile_interval)
    return [
        Figure.of("privacy.dcr_share", closest.share, interval=closest.interval, note=note, **size),
        Figure.of("privacy.dcr_quantile", 100 * closest.quantile_share, holdout=2.0, interval=percents, **size),
    ]
