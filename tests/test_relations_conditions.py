"""Conditions of every form on columns that relations tie together: rows meet both, or the conditions are refused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clover_tvae import TVAESynthesizer
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError
from clover_tvae.metadata import Metadata
from clover_tvae.reduction import Reduction
from clover_tvae.reduction.asked import translated
from clover_tvae.reduction.bounds import check_room
from clover_tvae.relations.document import read_relations

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
    with pytest.warns(UserWarning, match="'clock' looks like dates or times"):  # which its relation keeps
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


@pytest.mark.long
def test_rows_meet_the_conditions_and_the_relations_or_are_refused(
    learnt: tuple[pd.DataFrame, TVAESynthesizer],
) -> None:
    df, synth = learnt
    n_drawn = 0

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
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


# -- conditions that contradict relations, before a row is drawn ---------------------------------------------------------


@functools.cache
def rooms(n: int = N) -> tuple[pd.DataFrame, Reduction]:
    """A table of every relation that tells of numbers, and the plan that is learnt of it."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 50, n), rng.integers(1, 40, n)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 9_000, n), unit="D")
    seen = born + pd.to_timedelta(rng.integers(8_000, 20_000, n), unit="D")
    test, ward = rng.choice(["ldl", "hdl"], n), rng.integers(0, 3, n)
    df = pd.DataFrame(
        {
            "a": a, "b": b, "total": a + b, "area": a * b, "rate": np.round(a / b, 2), "copy": a.astype(float),
            "born": born, "seen": seen, "later": seen + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            "age": 0, "year": seen.year, "month": 0, "stay": 0, "test": test, "value": np.where(test == "ldl", 100, 40) + rng.integers(0, 30, n),
            "x": ward == 0, "y": ward == 1, "z": ward == 2, "low": rng.normal(0, 1, n).round(3),
        }
    )  # fmt: skip
    df["high"] = (df["low"] + rng.gamma(1, 1, n).round(3)).where(rng.random(n) < 0.8)
    df["top"] = df[["low", "high"]].max(axis=1) + rng.gamma(1, 1, n).round(3)
    computed = {
        "total": "a + b", "area": "a * b", "rate": "a / b", "age": "age(born, seen)", "year": "year(seen)", "month": "month(seen)", "stay": "later - seen",
    }  # fmt: skip
    relations: list[dict[str, Any]] = [
        *(
            {"kind": "computed", "target": t, "formula": f, "decimals": 2 if t == "rate" else None}
            for t, f in computed.items()
        ),
        {"kind": "equal", "source": "a", "target": "copy"},
        {"kind": "inequality", "ascending": ["born", "seen", "later"]},
        {"kind": "inequality", "ascending": ["low", "high", "top"]},
        {"kind": "ranges", "category": "test", "number": "value"},
        {"kind": "one_hot", "group": ["x", "y", "z"]},
        {"kind": "missing_when", "target": "gap", "when": "test", "values": ["ldl"]},
        {"kind": "predicate", "expression": "2 * a + 3 <= 200 - b and value > low"},
    ]
    for relation in read_relations(relations[:7], list(df)):
        df = relation.complete(df)
    df["gap"] = df["a"].where(df["test"] == "hdl")
    df["extra"] = df["a"].where(rng.random(n) < 0.7)
    df["most"] = df["extra"] + df["b"]
    relations.append({"kind": "computed", "target": "most", "formula": "extra + b"})
    df = df.astype({"age": int, "stay": int, "year": int, "month": int})
    kinds = {
        "continuous": [c for c in df if c not in ("born", "seen", "later", "test", *"xyz")],
        "datetime": ["born", "seen", "later"], "categorical": ["test", *"xyz"], "relations": relations,
    }  # fmt: skip
    metadata = Metadata.of(kinds).with_relations(df)
    return df, Reduction.fit(df, metadata, np.random.default_rng(0), is_repair=False, min_count=10)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"a": (">=", 10), "total": ("<=", 5)}, r"columns 'a' and 'total': .*total = a \+ b"),
        ({"total": (">=", 80), "b": ("<=", 5)}, r"total = a \+ b"),
        ({"a": (">=", 40), "b": (">=", 30), "area": ("<", 1_000)}, r"area = a \* b"),
        ({"rate": (">", 10), "a": ("<", 5)}, "rate = a / b"),
        ({"copy": ("<", 3), "a": (">", 3)}, "copy equals a"),
        ({"copy": ("<", 3), "total": (">", 60)}, "columns 'copy' and 'total'"),
        ({"born": (">", "1974-01-01"), "later": ("<", "1973-06-01")}, "born <= seen <= later"),
        ({"year": (">", 2000), "seen": ("<", "1995-01-01")}, r"year = year\(seen\)"),
        ({"year": 1994, "seen": (">=", "1995-01-01")}, r"year = year\(seen\)"),
        ({"year": (">=", 1995), "seen": ("<", "1995-01-01")}, r"year = year\(seen\)"),
        ({"year": 1994, "seen": (">=", "1994-12-31")}, None),
        ({"year": (">=", 1995), "later": ("<", "1994-12-20")}, "year = year|born <= seen <= later"),
        ({"month": 5, "seen": ("between", "1995-01-01", "1995-04-30")}, r"month = month\(seen\)"),
        ({"month": 5, "seen": ("between", "1994-12-01", "1995-05-01")}, None),
        ({"age": ("<", 30), "born": ("<", "1955-01-01"), "seen": (">", "1990-01-01")}, r"age = age"),
        ({"stay": (">", 60), "seen": (">", "1990-01-20"), "later": ("<", "1990-03-01")}, "stay = later - seen"),
        ({"low": (">", 1), "high": ("<", 0)}, "low <= high"),
        ({"test": "ldl", "value": ("<", 90)}, "value lies in a range"),
        ({"test": ["ldl", "hdl"], "value": (">", 200)}, "seen in training|value lies"),
        ({"x": True, "z": True}, "exactly one"),
        ({"a": (">", 45), "b": (">", 38), "value": ("<", 60)}, None),
        ({"a": (">", 30), "b": (">", 30), "total": ("<", 61)}, "total"),
        ({"low": (">", 1), "top": ("<", 0.5), "high": ("missing",)}, None),  # the two are tied by the third alone
        ({"total": (">=", 10), "a": ("<=", 5)}, None),
        ({"most": ("<", 20), "b": (">", 30)}, r"most = extra \+ b"),  # where it is there, its terms are
        ({"test": "hdl", "value": ("<", 60)}, None),
        ({"test": "ldl", "gap": (">", 3)}, "gap is missing exactly when test is 'ldl'"),
        ({"test": ["ldl"], "gap": ("not missing",)}, "gap is missing exactly when"),
        ({"test": "hdl", "gap": None}, "gap is missing exactly when"),
        ({"test": ["ldl", "hdl"], "gap": None}, None),
        ({"test": "hdl", "gap": [5, None]}, None),
        ({"seen": "1985-02-03", "later": "1985-02-01"}, "born <= seen <= later"),
    ],
)
def test_a_contradiction_is_told_before_a_row_is_drawn(asked: dict[str, Any], words: str | None) -> None:
    plan = rooms()[1]
    if words is None:
        translated(plan, asked)
        return
    with pytest.raises(ConditionError, match=words):
        translated(plan, asked)


def test_no_condition_that_a_row_of_the_table_meets_is_refused() -> None:
    df, plan = rooms()

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def each(data: st.DataObject) -> None:
        row = df.iloc[data.draw(st.integers(0, len(df) - 1))]
        names = data.draw(st.lists(st.sampled_from(list(df)), min_size=1, max_size=6, unique=True))
        asked: dict[str, Any] = {}
        for name in names:
            other = df[name].iloc[data.draw(st.integers(0, len(df) - 1))]
            if pd.isna(row[name]):
                asked[name] = None
            elif name in (*"xyz", "test"):
                asked[name] = data.draw(st.sampled_from([row[name], [row[name], other]]))
            elif pd.isna(other) or data.draw(st.booleans()):
                asked[name] = data.draw(st.sampled_from([(">=", row[name]), ("<=", row[name]), row[name]]))
            else:
                asked[name] = ("between", *sorted([row[name], other]))
        check_room(plan, {name: Condition.of(condition) for name, condition in asked.items()})

    each()


@pytest.fixture(scope="module", params=["autoregressive", "independent"])
def journeys(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, TVAESynthesizer]:
    rng = np.random.default_rng(5)
    start, late = rng.integers(0, 1_440, N), rng.integers(-20, 200, N)
    clocks = [minutes // 60 * 100 + minutes % 60 for minutes in (start, (start + late) % 1_440)]
    hour, minute = np.divmod(clocks[0], 100)
    df = pd.DataFrame({"start": clocks[0], "late": late, "end": clocks[1], "hour": hour, "minute": minute})
    with pytest.warns(UserWarning, match="whole numbers: declared 'datetime'"):
        metadata = Metadata.infer(df)
    synth = TVAESynthesizer(
        df, metadata, random_state=1, epochs=5, privacy="none", decoder=request.param, verbose=False
    )
    return df, synth.fit()


@pytest.mark.long
class TestTimesOfAClock:
    def test_parts_give_the_whole(self, journeys: tuple[pd.DataFrame, TVAESynthesizer]) -> None:
        _, synth = journeys
        assert (synth.sample(40, conditions={"hour": 8, "minute": 30})["start"] == 830).all()
        with pytest.raises(ConditionError, match="must be parts of one 'start'"):
            synth.sample(1, conditions={"hour": (">", 20), "start": ("<", 1_500)})

    @pytest.mark.parametrize("asked", [{"end": 900}, {"start": 830, "end": 900}, {"start": 2_350, "late": 30}])
    def test_one_time_is_met_however_rare(
        self, asked: dict[str, int], journeys: tuple[pd.DataFrame, TVAESynthesizer]
    ) -> None:
        rows = journeys[1].sample(30, conditions=asked)
        assert (rows[list(asked)] == list(asked.values())).all(axis=None)
        assert not any(relation.breaks(rows).any() for relation in journeys[1].metadata.relations or ())

    def test_a_contradiction_is_told_before_a_row_is_drawn(
        self, journeys: tuple[pd.DataFrame, TVAESynthesizer]
    ) -> None:
        asked = {"start": ("between", 800, 810), "late": ("between", 10, 20), "end": ("between", 1_200, 1_300)}
        with pytest.raises(ConditionError, match="must leave room for the relation 'end = clock"):
            journeys[1].sample(1, conditions=asked)

    @pytest.mark.parametrize(
        "lacks", [["start"], ["late"], ["end"], ["start", "late"], ["start", "hour"], ["start", "minute"]]
    )
    def test_real_rows_without_some_cells_are_completed_and_filled(
        self, lacks: list[str], journeys: tuple[pd.DataFrame, TVAESynthesizer]
    ) -> None:
        df, synth = journeys
        partial = df.head(60).drop(columns=lacks)
        empty = df.head(60).astype(dict.fromkeys(lacks, "Float64")).assign(**dict.fromkeys(lacks, pd.NA))
        for rows in (synth.sample(conditions=partial), synth.impute(empty)):
            assert (rows[list(partial)] == partial).all(axis=None)
            assert not any(relation.breaks(rows).any() for relation in synth.metadata.relations or ())


def test_filling_around_the_independent_decoder_keeps_ranges_of_a_category() -> None:
    rng = np.random.default_rng(7)
    kind = rng.integers(0, 30, N)
    value = np.round(np.sort(rng.uniform(0, 1_000, 30))[kind] + rng.uniform(0, 6, N), 1)
    df = pd.DataFrame({"test": [f"t{k:02d}" for k in kind], "value": value, "note": rng.normal(size=N).round(2)})
    relations = [{"kind": "ranges", "category": "test", "number": "value"}]
    metadata = {"categorical": ["test"], "continuous": ["value", "note"], "relations": relations}
    synth = TVAESynthesizer(
        df, metadata, random_state=1, epochs=5, privacy="none", decoder="independent", verbose=False
    ).fit()
    (relation,) = synth.metadata.relations or ()
    given = df.head(200).mask(rng.random((200, 3)) < 0.4)
    full = synth.impute(given)
    assert (relation.breaks(full) & given[["test", "value"]].isna().any(axis=1)).sum() <= 4  # of about 130


def parts_of_a_time_stamp() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    at = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 366 * 1_440, N), unit="min"))
    parts = {part: getattr(at.dt, part) for part in ("hour", "minute", "month", "day")}
    return pd.DataFrame({"at": at, **parts, "x": rng.normal(size=N)})


def parts_with_gaps_of_their_own() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 1_440, N)
    parts = {"clock": minutes // 60 * 100 + minutes % 60, "hour": minutes // 60, "minute": minutes % 60}
    return pd.DataFrame({**parts, "x": rng.normal(size=N)}).mask(rng.random((N, 4)) < 0.05).astype("Float64")


def a_number_made_of_parts_of_a_date() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    at = pd.Series(pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, N), unit="D"))
    packed = at.dt.year * 10_000 + at.dt.month * 100 + at.dt.day
    return pd.DataFrame({"at": at, "month": at.dt.month, "day": at.dt.day, "packed": packed})


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("made", "known"),
    [
        (parts_of_a_time_stamp, ["hour", "minute", "month", "day", "x"]),
        (parts_of_a_time_stamp, ["hour", "minute"]),
        (parts_of_a_time_stamp, ["month", "day"]),
        (parts_with_gaps_of_their_own, ["hour", "minute", "x"]),
        (parts_with_gaps_of_their_own, ["minute"]),
        (a_number_made_of_parts_of_a_date, ["packed"]),
        (a_number_made_of_parts_of_a_date, ["day"]),
    ],
)
def test_parts_of_real_rows_are_enough(made: Any, known: list[str]) -> None:
    df = made()
    synth = TVAESynthesizer(df, Metadata.infer(df), random_state=1, epochs=3, privacy="none", verbose=False).fit()
    rows = df.dropna().head(30)
    empty = rows.assign(**{name: pd.Series(dtype=df[name].dtype) for name in df if name not in known})
    for full in (synth.sample(conditions=rows[known]), synth.impute(empty.convert_dtypes())):
        assert not any(relation.breaks(full).any() for relation in synth.metadata.relations or ())
        np.testing.assert_array_equal(full[known].to_numpy(float), rows[known].to_numpy(float))


def test_parts_that_no_time_stamp_has_are_refused_at_once() -> None:
    df = parts_of_a_time_stamp()
    synth = TVAESynthesizer(df, Metadata.infer(df), random_state=1, epochs=3, privacy="none", verbose=False).fit()
    with pytest.raises(ConditionError, match="must be parts of one 'at'"):
        synth.sample(1, conditions={"month": 2, "day": 30})
    rows = synth.sample(20, conditions={"month": 2, "day": 29, "hour": 5, "minute": 30})
    assert (rows["at"] == pd.Timestamp("2024-02-29 05:30")).all()


@pytest.mark.filterwarnings("ignore:column 'born'.* dates of birth")
@pytest.mark.parametrize("lacks", ["born", "admitted"])
def test_an_age_tells_the_birth_and_the_day(lacks: str) -> None:
    rng = np.random.default_rng(1)
    born = pd.Series(pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 20_000, N), unit="D"))
    admitted = pd.Series(pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 1_200, N), unit="D"))
    age = admitted.dt.year - born.dt.year - (admitted.dt.strftime("%m%d") < born.dt.strftime("%m%d"))
    df = pd.DataFrame({"born": born, "admitted": admitted, "age": age})
    synth = TVAESynthesizer(df, Metadata.infer(df), random_state=1, epochs=3, privacy="none", verbose=False).fit()
    (relation,) = synth.metadata.relations or ()
    rows = df.head(60)
    for full in (synth.sample(conditions=rows.drop(columns=lacks)), synth.impute(rows.assign(**{lacks: pd.NaT}))):
        assert not relation.breaks(full).any()
        assert (full["age"] == rows["age"]).all()
        assert full[lacks].nunique() > 30


def test_mended_lengths_are_as_long_as_those_that_were_learnt() -> None:
    rng = np.random.default_rng(1)
    start = pd.Series(pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 1_200, N), unit="D"))
    df = pd.DataFrame({"start": start, "end": start + pd.to_timedelta(rng.geometric(0.15, N), unit="D")})
    synth = TVAESynthesizer(
        df, Metadata.infer(df), random_state=1, epochs=3, privacy="none", decoder="independent", verbose=False
    ).fit()
    lengths = [(rows["end"] - rows["start"]).dt.days for rows in (df, synth.sample(300))]
    assert lengths[1].between(0, lengths[0].max() + 5).all()  # the ends that are stored are those of several rows
    assert lengths[1].nunique() > 10


def test_a_number_that_is_computed_and_is_no_date_is_drawn_again() -> None:
    rng = np.random.default_rng(1)
    df = pd.DataFrame({"hour": rng.integers(8, 18, N), "base": rng.integers(0, 40, N), "more": rng.integers(0, 40, N)})
    df = df[df["base"] + df["more"] < 60].assign(at=100 * df["hour"] + df["base"] + df["more"])
    metadata = {
        "continuous": ["hour", "base", "more"], "datetime": [{"name": "at", "format": "%H%M"}],
        "relations": [{"kind": "computed", "target": "at", "formula": "100 * hour + base + more"}],
    }  # fmt: skip
    rows = TVAESynthesizer(df, metadata, random_state=1, epochs=3, privacy="none", verbose=False).fit().sample(400)
    assert (rows["at"] % 100 < 60).all()
    assert (rows["at"] == 100 * rows["hour"] + rows["base"] + rows["more"]).all()


@pytest.mark.parametrize("format", ["%m/%Y", "%Y-%m"])
def test_a_relation_of_months_reads_a_few_rows_too(format: str) -> None:
    rng = np.random.default_rng(2)
    start = pd.Series(pd.Timestamp("2015-01-15") + pd.to_timedelta(rng.integers(0, 2_500, N), unit="D"))
    end = start + pd.to_timedelta(rng.integers(0, 700, N), unit="D")
    df = pd.DataFrame({"start": start.dt.strftime(format), "end": end.dt.strftime(format)})
    metadata = Metadata.from_dict({"datetime": [{"name": name, "format": format} for name in df]}).with_relations(df)
    assert metadata.relations
    synth = TVAESynthesizer(df, metadata, random_state=1, epochs=3, privacy="none", verbose=False).fit()
    for row in range(5):
        full = synth.impute(df.iloc[[row]].assign(end=None), random_state=row)
        assert full["start"].tolist() == [df["start"][row]]
        assert (pd.to_datetime(full["end"], format=format) >= pd.to_datetime(full["start"], format=format)).all()
