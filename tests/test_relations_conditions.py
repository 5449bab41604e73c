"""Conditions of every form on columns that relations tie together: rows meet both, or the conditions are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clover_tvae import TVAESynthesizer
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError

pytestmark = pytest.mark.long

N = 600


def visits() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, N), unit="D")
    clock = rng.integers(7, 19, N) * 100 + rng.integers(0, 4, N) * 15
    drug, care = rng.integers(0, 60, N), rng.integers(10, 90, N)
    city, ward = rng.choice(["Graz", "Linz", "Wien"], N), rng.integers(0, 3, N)
    return pd.DataFrame(
        {
            "start": start, "end": start + pd.to_timedelta(rng.geometric(0.15, N), unit="D"),
            "clock": clock, "hour": clock // 100, "minute": clock % 100,
            "drug": drug, "care": care, "bill": drug + care,
            "city": city, "code": pd.Series(city).map({"Graz": "80", "Linz": "40", "Wien": "10"}),
            "is_a": ward == 0, "is_b": ward == 1, "is_c": ward == 2,
        }
    )  # fmt: skip


KINDS = {
    "datetime": ["start", "end"],
    "continuous": ["clock", "hour", "minute", "drug", "care", "bill"],
    "categorical": ["city", "code"],
    "boolean": ["is_a", "is_b", "is_c"],
}


@pytest.fixture(scope="module")
def learnt() -> tuple[pd.DataFrame, TVAESynthesizer]:
    df = visits()
    synth = TVAESynthesizer(df, KINDS, random_state=1, epochs=6, privacy="none", verbose=False).fit()
    assert {"start", "end", "hour", "bill", "code"} <= {c for r in synth.metadata.relations or () for c in r.columns}
    return df, synth


def conditions(df: pd.DataFrame) -> st.SearchStrategy[dict[str, Any]]:
    def of(name: str) -> st.SearchStrategy[Any]:
        values = sorted(df[name].unique().tolist())
        value = st.sampled_from(values)
        forms = [value, st.lists(value, min_size=1, max_size=3, unique=True), st.tuples(st.just("!="), value)]
        if name not in (*KINDS["categorical"], *KINDS["boolean"]):
            forms.append(st.tuples(st.sampled_from(["<", "<=", ">", ">="]), value))
            forms.append(st.tuples(value, value).map(lambda ends: ("between", *sorted(ends))))
        return st.one_of(forms)

    names = st.lists(st.sampled_from(list(df.columns)), min_size=1, max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: of(name) for name in chosen}))


def test_rows_meet_the_conditions_and_the_relations_or_are_refused(
    learnt: tuple[pd.DataFrame, TVAESynthesizer],
) -> None:
    df, synth = learnt
    n_drawn = 0

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(conditions(df))
    def each(asked: dict[str, Any]) -> None:
        nonlocal n_drawn
        try:
            rows = synth.sample(8, conditions=asked, random_state=1)
        except ConditionError:
            return
        n_drawn += 1
        assert len(rows) == 8
        for relation in synth.metadata.relations or ():
            assert not relation.breaks(rows).any(), str(relation)
        for name, wanted in asked.items():
            form, cells = Condition.of(wanted), rows[name]
            holds = {
                "in": lambda c=cells, v=form.values: c.isin(list(v)),
                "not in": lambda c=cells, v=form.values: ~c.isin(list(v)),
            }.get(form.form)
            met = holds() if holds is not None else _compared(cells, wanted)
            assert met.all(), (name, wanted)

    each()
    assert n_drawn > 20


def _compared(cells: pd.Series, wanted: Any) -> pd.Series:
    operator, *ends = wanted
    if operator == "between":
        return cells.between(*ends)
    (end,) = ends
    return {"!=": cells.ne, "<": cells.lt, "<=": cells.le, ">": cells.gt, ">=": cells.ge}[operator](end)
