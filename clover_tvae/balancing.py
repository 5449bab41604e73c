"""Balance: the synthetic rows that bring the categories of a column to the wanted shares, beside the real ones."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any, Protocol

import pandas as pd
from numpy.random import SeedSequence

from clover_tvae.columns.dtypes import in_dtype
from clover_tvae.columns.people import People, count_people, holders, people_of
from clover_tvae.errors import ColumnsMismatchError, ConditionError, ConfigError, DataError, Problem, did_you_mean
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import shown
from clover_tvae.seeds import child

#: No more rows than that for each real one: a share of 1e-9 is a slip, not a wish.
_MOST_ROWS_A_REAL_ROW = 1_000


class _Draw(Protocol):
    """Draws rows that meet conditions, passing over the first identifiers."""

    def __call__(
        self, n_rows: int, *, seed: SeedSequence, conditions: dict[Hashable, Any], first_id: int
    ) -> Iterator[pd.DataFrame]: ...


def balanced(
    real: pd.DataFrame,
    metadata: Metadata,
    column: Hashable,
    strategy: str | Mapping[Any, float],
    draw: _Draw,
    seed: SeedSequence,
    min_count: int = 1,
) -> pd.DataFrame:
    """Return the real rows and as many synthetic ones as balance ``column``, flagged in ``is_synthetic``; see :func:`rows_to_add`.

    Where the metadata names a category for the rest, rare categories count to it, as they were learnt; real rows stay as they are.
    """
    known = [c.name for c in metadata.columns if c.kind in ("categorical", "boolean", "ordinal")]
    if column not in known or column not in real.columns:
        raise ConditionError(f"is not a column of categories{did_you_mean(column, known)}", f"column {column!r}")
    if "is_synthetic" in real.columns:
        raise DataError("is there already; rename it, the flag needs the name", "column 'is_synthetic'")
    if absent := [c.name for c in metadata.columns if c.modelled and c.name not in real.columns]:
        text = "is a column that was learnt, but the rows lack it"
        raise ColumnsMismatchError([Problem(f"column {name!r}", text) for name in absent])
    parts: list[pd.DataFrame] = []
    # Identifiers run on from one category to the next, after as many as there are real rows.
    first_id = len(real)
    values, people = real[column], people_of(real, metadata.unit)
    rest = next(c.rest for c in metadata.columns if c.name == column)
    values = _merged(values, rest, strategy, column, min_count, people)
    for i, (category, n) in enumerate(rows_to_add(values, strategy, column, min_count, people).items()):
        if n:
            parts += draw(n, seed=child(seed, i), conditions={column: category}, first_id=first_id)
            first_id += n
    kept = [c for c in real.columns if not parts or c in parts[0].columns]
    every = [(real[kept], False), *((part[kept], True) for part in parts)]
    out = pd.concat([part.assign(is_synthetic=flag) for part, flag in every], ignore_index=True)
    for c in kept:
        with contextlib.suppress(TypeError, ValueError):
            out[c] = in_dtype(out[c], real[c].dtype)
    return out


def _rare(values: pd.Series, min_count: int, people: People | None) -> list[Any]:
    """Return the categories of fewer people."""
    n_people = holders(values, people)
    return [*n_people.index[n_people < min_count]]


def _merged(
    values: pd.Series, rest: Any, strategy: Any, column: Hashable, min_count: int, people: People | None
) -> pd.Series:
    """Return the column with its rare categories as the one for the rest, where enough people are in that.

    Raises:
        ConditionError: The strategy names a category that counts to it.
    """
    rare = _rare(values, min_count, people)
    of_rest = (values == rest if (values == rest).any() else values.isin(rare)).to_numpy(dtype=bool, na_value=False)
    n_rest = count_people(None if people is None else people[of_rest], int(of_rest.sum()))
    if rest is None or not rare or n_rest < min_count:  # a rare category for the rest is not learnt, either
        return values
    if isinstance(strategy, Mapping) and (named := [c for c in strategy if c in rare and c != rest]):
        text = (
            f"{len(named)} of the categories are held by so few people that they count to the one for the rest, as the metadata "
            "says; name that one"
        )
        raise ConditionError(text, f"column {column!r}")
    return values.astype(object).where(~values.isin(rare), rest)


def rows_to_add(
    values: pd.Series,
    strategy: str | Mapping[Any, float],
    column: Hashable,
    min_count: int = 1,
    people: People | None = None,
) -> dict[Any, int]:
    """Return how many rows of each category bring ``values`` to the wanted shares, without dropping any.

    Args:
        values: The column as it is; missing cells count for nothing.
        strategy: ``"equal"``, or shares in (0, 1) of some or all categories; the others keep their proportions. Or whole numbers:
            the rows that categories are to have in all; the others stay as they are.
        min_count: Fewest people of a category that can be added to; one that is not named stays as it is.
        people: The number of the person of each row; ``None``: every row is one.

    Raises:
        ConfigError: The shares are none, or would take more than 1,000 rows for each real one.
        ConditionError: A category was never seen, or is held by too few people.

    Example:
        >>> rows_to_add(pd.Series(list("aaab")), "equal", "letter")
        {'a': 0, 'b': 2}
        >>> rows_to_add(pd.Series(list("aaab")), {"b": 0.4}, "letter")
        {'b': 1, 'a': 0}
        >>> rows_to_add(pd.Series(list("aaab")), {"b": 4}, "letter")
        {'b': 3}
    """
    counts = values.value_counts(dropna=True)
    counts = counts[counts > 0]
    rare = _rare(values, min_count, people)
    if rare and (strategy == "equal" or (isinstance(strategy, Mapping) and any(c in strategy for c in rare))):
        who = "rows" if people is None else "people"
        text = (
            f"must have at least {min_count} {who} of each category that is balanced, found fewer of some: so few people cannot "
            "be copied; merge those categories before fit, or give the shares of the others as 'strategy'"
        )
        raise ConditionError(text, f"column {column!r}")
    if strategy == "equal":
        return {category: int(counts.max() - n) for category, n in counts.items()}
    if not isinstance(strategy, Mapping):
        raise ConfigError(f"must be 'equal' or a dict of shares, found {shown('strategy', strategy)}", "strategy")
    if strategy and all(isinstance(n, Integral) and n > 1 for n in strategy.values()):
        wanted = {category: int(n) for category, n in strategy.items()}
        return _up_to(wanted, counts, column)
    if not strategy or not all(isinstance(share, Real) and 0 < share < 1 for share in strategy.values()):
        raise ConfigError("shares must be numbers between 0 and 1, both left out, or numbers of rows", "strategy")
    shares = {category: float(share) for category, share in strategy.items()}
    _check_seen(shares, counts, column)
    left = 1.0 - sum(shares.values())
    others = counts[~counts.index.isin([*shares, *rare])]
    if left < -1e-6 or (left > 1e-6 and others.empty):
        raise ConfigError(f"shares must sum to 1, found {1.0 - left:g}", "strategy")
    if left > 1e-6:
        shares.update({category: left * int(n) / int(others.sum()) for category, n in others.items()})
    # The total that leaves no category above its share. To pandas, True in brackets is a mask.
    n_of = dict(counts.items())
    total = max(n_of[category] / share for category, share in shares.items())
    if total > _MOST_ROWS_A_REAL_ROW * len(values):
        text = f"such shares take {total:.2g} rows, as no real row is dropped; the table has {len(values)}"
        raise ConfigError(text, "strategy")
    return {category: max(0, round(total * share) - int(n_of[category])) for category, share in shares.items()}


def _up_to(wanted: dict[Any, int], counts: pd.Series, column: Hashable) -> dict[Any, int]:
    """Return how many rows bring categories to the wanted numbers of rows."""
    _check_seen(wanted, counts, column)
    n_of = dict(counts.items())
    if any(n < n_of[category] for category, n in wanted.items()):
        raise ConfigError("must ask for at least the rows that each category has: no real row is dropped", "strategy")
    if sum(wanted.values()) > _MOST_ROWS_A_REAL_ROW * int(counts.sum()):
        raise ConfigError(f"must ask for at most {_MOST_ROWS_A_REAL_ROW:,} rows for each real one", "strategy")
    return {category: n - int(n_of[category]) for category, n in wanted.items()}


def _check_seen(strategy: Mapping[Any, float], counts: pd.Series, column: Hashable) -> None:
    if unseen := [category for category in strategy if category not in counts.index]:
        raise ConditionError(f"{len(unseen)} of the categories were never seen", f"column {column!r}")
