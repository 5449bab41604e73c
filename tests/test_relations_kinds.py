"""Every kind of relation: which rows break it, what it determines and computes, how it is written and read."""

from __future__ import annotations

import json
import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clover_tvae.columns.numeric import round_bound
from clover_tvae.errors import ColumnTypeError, MetadataError
from clover_tvae.relations.computed import Computed, Equal, Predicate
from clover_tvae.relations.document import read_relations, write_relations
from clover_tvae.relations.groups import Increments, MissingTogether, MissingWhen, OneHot
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges
from clover_tvae.relations.order import Inequality, Interval
from clover_tvae.relations.relation import Relation
from clover_tvae.relations.sdv import CONSTRAINTS, from_constraint, to_constraint

NAN = float("nan")
DAYS = pd.to_datetime(["2020-02-28", "2020-02-28", None, "2021-12-31"])

# A relation, a table, and which of its rows break the relation.
CASES: list[tuple[Relation, dict[str, object], list[int]]] = [
    (Equal(source="a", target="b"), {"a": [1, 2, NAN, 4], "b": [1.0, 3, 3, NAN]}, [0, 1, 0, 0]),
    (Equal(source="a", target="b"), {"a": ["x", "y", None], "b": pd.Categorical(["x", "x", "x"])}, [0, 1, 0]),
    (Equal(source="a", target="b"), {"a": DAYS, "b": DAYS[[0, 3, 1, 2]]}, [0, 1, 0, 0]),
    (Equal(source="a", target="b", share=0.5), {"a": [1, 2], "b": [1, 3]}, [0, 0]),
    (
        Equal(source="a", target="b", when="c", values=("yes",)),
        {"a": [1, 2, 3], "b": [1, 3, 4], "c": ["yes", "yes", "no"]},
        [0, 1, 0],
    ),
    (Computed(target="c", formula="a + b"), {"a": [1, 2, NAN], "b": [1, 1, 1], "c": [2, 4, 9]}, [0, 1, 0]),
    (Computed(target="c", formula="a + b"), {"a": [0.1, 0.1], "b": [0.2, 0.2], "c": [0.3, 0.301]}, [0, 1]),
    (Computed(target="c", formula="a * b", decimals=1), {"a": [1.11, 2], "b": [3, 2.0], "c": [3.3, 4.2]}, [0, 1]),
    (Computed(target="c", formula="a / b", decimals=0), {"a": [1, 5, 1], "b": [2, 2, 0], "c": [1, 2, 7]}, [0, 0, 0]),
    (Computed(target="h", formula="t // 100"), {"t": [1530, 905], "h": [15, 8]}, [0, 1]),
    (Computed(target="m", formula="t % 100"), {"t": [1530, 905], "m": [30, 5]}, [0, 0]),
    (Computed(target="y", formula="year(d)"), {"d": DAYS, "y": [2020, 2019, 2020, 2021]}, [0, 1, 0, 0]),
    (Computed(target="y", formula="dayofyear(d)"), {"d": ["01/02/2020", "31/12/2020"], "y": [32, 365]}, [0, 1]),
    (Computed(target="w", formula="weekday(d) + 1"), {"d": DAYS, "w": [5, 6, 1, 5]}, [0, 1, 0, 0]),
    (
        Computed(target="age", formula="age(born, at)"),
        {"born": DAYS, "at": pd.to_datetime(["2021-02-27", "2021-02-28", "2021-01-01", "2021-12-31"]), "age": [0, 0, 5, 0]},
        [0, 1, 0, 0],
    ),
    (Computed(target="s", formula="b - a"), {"a": DAYS, "b": DAYS + pd.Timedelta("2D"), "s": [2, 1, 2, 2]}, [0, 1, 0, 0]),
    (Dependency(by=("a",), target="b"), {"a": ["x", "x", "x", "y", None], "b": [1, 1, 2, 3, 3]}, [0, 0, 1, 0, 0]),
    (
        Dependency(by=("a", "b"), target="c", table=(("x", 1, True), ("y", 1, False))),
        {"a": ["x", "y", "z", "x"], "b": [1, 1, 1, 2], "c": [True, True, True, False]},
        [0, 1, 0, 0],
    ),
    (
        Combinations(among=("a", "b"), allowed=(("x", 1), ("y", 2))),
        {"a": ["x", "x", "y", None], "b": [1, 2, 2, 2]},
        [0, 1, 0, 0],
    ),
    (
        Ranges(category="t", number="v", ranges=(("k", 3.0, 6.0),)),
        {"t": ["k", "k", "k", "other", None], "v": [3.0, 238.0, NAN, 238.0, 9.0]},
        [0, 1, 0, 0, 0],
    ),
    (Inequality(ascending=("a", "b")), {"a": [1, 2, NAN, 3], "b": [1, 1, 1, 4]}, [0, 1, 0, 0]),
    (Inequality(ascending=("a", "b", "c"), strict=True), {"a": [1, 1, 1], "b": [2, 2, NAN], "c": [3, 2, 0]}, [0, 1, 0]),
    (Interval(start="a", end="b"), {"a": DAYS, "b": DAYS[::-1]}, [0, 0, 0, 1]),
    (OneHot(group=("a", "b", "c")), {"a": [1, 1, 0], "b": [0, 1, 0], "c": [False, False, True]}, [0, 1, 0]),
    (Increments(column="a", step=0.1), {"a": [0.3, 0.35, NAN]}, [0, 1, 0]),
    (MissingTogether(group=("a", "b")), {"a": [1, NAN, NAN], "b": ["x", None, "x"]}, [0, 0, 1]),
    (MissingWhen(target="a", when="b", values=("x",)), {"a": [NAN, 1, NAN, NAN], "b": ["x", "x", "y", None]}, [0, 1, 1, 0]),
    (
        MissingWhen(target="a", when="b", values=("x",), missing=False),
        {"a": [NAN, 1, NAN], "b": ["x", "x", "y"]},
        [1, 0, 0],
    ),
    (Predicate(expression="low <= high or is_missing(high)"), {"low": [1, 2, 2], "high": [1.0, 1, NAN]}, [0, 1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("relation", "columns", "broken"), CASES, ids=lambda value: getattr(value, "kind", ""))
class TestEveryKind:
    def test_says_which_rows_break_it(self, relation: Relation, columns: dict[str, object], broken: list[int]) -> None:
        df = pd.DataFrame(columns, index=range(5, 5 + len(broken)))
        breaks = relation.breaks(df)
        assert breaks.dtype == bool
        assert breaks.astype(int).tolist() == broken

    def test_only_rows_to_which_it_applies_break_it(
        self, relation: Relation, columns: dict[str, object], broken: list[int]
    ) -> None:
        df = pd.DataFrame(columns)
        assert not (relation.breaks(df) & ~relation.applies(df)).any()

    def test_no_row_breaks_it_where_every_cell_is_missing(
        self, relation: Relation, columns: dict[str, object], broken: list[int]
    ) -> None:
        assert not relation.breaks(pd.DataFrame(columns).head(0)).any()
        if not isinstance(relation, OneHot | Dependency):
            empty = pd.DataFrame(columns).convert_dtypes()
            empty.loc[:] = pd.NA
            assert not relation.breaks(empty).any()

    def test_is_read_as_it_is_written(self, relation: Relation, columns: dict[str, object], broken: list[int]) -> None:
        plain = json.loads(json.dumps(write_relations([relation])))
        assert read_relations(plain, list(columns)) == (relation,)
        assert pickle.loads(pickle.dumps(relation)) == relation

    def test_completed_rows_keep_it(self, relation: Relation, columns: dict[str, object], broken: list[int]) -> None:
        df = pd.DataFrame(columns)
        learnt = relation.learnt(df, 1)
        completed = learnt.complete(df)
        if relation.determines or isinstance(relation, MissingWhen):
            assert not learnt.breaks(completed)[[not b for b in broken]].any()
        if relation.determines:
            assert relation.kind == "one_hot" or not learnt.breaks(completed).any()
            assert (completed.dtypes == df.dtypes).all() or relation.kind in ("computed", "equal")
            assert set(relation.determines).isdisjoint(relation.sources)

    def test_is_told_in_one_line(self, relation: Relation, columns: dict[str, object], broken: list[int]) -> None:
        assert "\n" not in str(relation)
        assert all(str(name) in str(relation) for name in relation.columns)


class TestComplete:
    @pytest.mark.parametrize("called", ["clock", "clock24"])
    def test_minutes_between_times_of_the_clock_are_solved_for_each(self, called: str) -> None:
        df = pd.DataFrame({"start": [2_350, 5, 1_200, 2_330], "late": [20, -10, 0, 30]})
        late = Computed(target="end", formula=f"{called}(minutes_of(start) + late)")
        df["end"] = late.exact(df)
        assert df["end"].tolist() == [10, 2_355, 1_200, 2_400 if called == "clock24" else 0]
        for name, least in (("start", 0), ("late", -60)):
            solved = late.solved_for(name, least)
            assert solved is not None
            assert solved.exact(df).tolist() == df[name].tolist()
        assert late.solved_for("late") is None  # but for whole days
        assert Computed(target="end", formula="clock(2 * late)").solved_for("late", 0.0) is None

    def test_a_sum_is_solved_for_its_last_term(self) -> None:
        total = Computed(target="total", formula="a + b - c")
        df = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [1.0, 10.0], "total": [3.0, -4.0]})
        for name in "abc":
            solved = total.solved_for(name)
            assert solved is not None
            assert solved.determines == (name,)
            assert solved.complete(df.drop(columns=name))[name].tolist() == df[name].tolist()

    @pytest.mark.parametrize(
        "formula", ["a / b", "b / a", "3 - a * 2", "1.8 * `a` + b / 2", "(a + b) / 7", "b - (4 - a)"]
    )
    def test_arithmetic_is_solved_for_each_column(self, formula: str) -> None:
        df = pd.DataFrame({"a": [1.5, 2.0, -3.0], "b": [4.0, 0.5, 8.0]})
        computed = Computed(target="the total", formula=formula).complete(df)
        solved = Computed(target="the total", formula=formula).solved_for("a")
        assert solved is not None
        assert np.allclose(solved.exact(computed), df["a"])

    def test_any_name_can_be_the_target(self) -> None:
        solved = Computed(target="quoted_1_ `", formula="`target_ a` - 2 * quoted").solved_for("target_ a")
        assert solved is None or solved.sources  # a backtick cannot be quoted
        solved = Computed(target="the target_", formula="`target_ a` - 2 * quoted").solved_for("target_ a")
        assert solved is not None
        assert solved.formula == "`the target_` + 2 * quoted"

    @pytest.mark.parametrize("formula", ["a // 100", "a * a", "floor(a)", "a + a", "year(a)"])
    def test_what_loses_something_cannot_be_solved(self, formula: str) -> None:
        assert Computed(target="t", formula=formula).solved_for("a") is None

    def test_a_value_below_the_smallest_count_is_in_no_table(self) -> None:
        df = pd.DataFrame({"city": ["A"] * 5 + ["B"] * 2, "region": ["n"] * 5 + ["s"] * 2, "v": range(7)})
        assert Dependency(by=("city",), target="region").learnt(df, 3).table == (("A", "n"),)
        assert Combinations(among=("city", "region")).learnt(df, 3).allowed == (("A", "n"),)
        assert [row[0] for row in Ranges(category="city", number="v").learnt(df, 3).ranges or ()] == ["A"]

    def test_a_key_of_several_values_may_have_those_that_are_shared(self) -> None:
        def learnt(*few: tuple[str, str]) -> tuple[Dependency, pd.DataFrame]:
            df = pd.DataFrame([*[("A", "n"), ("B", "s")] * 1_000, *few], columns=["city", "region"])
            return Dependency(by=("city",), target="region").learnt(df, 3), df

        clear = (("A", "n"), ("B", "s"))
        relation, df = learnt(*[("C", "n"), ("C", "s")] * 3)
        assert set(relation.table or ()) == {*clear, ("C", "n"), ("C", "s")}
        assert not relation.breaks(df).any()
        assert relation.breaks(pd.DataFrame([("C", "w"), ("C", "s")], columns=["city", "region"])).tolist() == [
            True,
            False,
        ]
        relation, df = learnt(*[("C", "n")] * 5, ("C", "s"))
        assert set(relation.table or ()) == set(clear)  # of one value that too few share, nothing is told
        assert not relation.breaks(df).any()
        relation, df = learnt(("A", "s"))
        assert relation.breaks(df).sum() == 1


class TestRoundBound:
    @given(st.lists(st.integers(-10_000, 10_000), min_size=5, max_size=60), st.integers(2, 5))
    @settings(deadline=None)
    def test_no_value_is_below_it_and_it_is_near(self, cents: list[int], min_count: int) -> None:
        values = np.array(cents) / 100
        bound = round_bound(values, min_count)
        gap = np.sort(values)[min_count - 1] - values.min()
        assert bound <= values.min() + 1e-9
        assert values.min() - bound <= 2.6 * gap + 1e-9

    def test_it_does_not_tell_the_lowest_value(self) -> None:
        assert round_bound(np.array([17.23, 18.11, 19.4, 22.0, 25.9]), 4) == 15.0


class TestProblems:
    def test_every_problem_has_its_place(self) -> None:
        plain = [
            {"kind": "computed", "target": "a", "formula": "b + c"},
            {"kind": "one_hot", "group": ["a"]},
            {"kind": "unheard of"},
            {"kind": "predicate", "expression": "__import__('os')"},
            {"kind": "equal", "source": "a", "target": "a2", "handling": "maybe"},
            "equal",
        ]
        with pytest.raises(MetadataError) as caught:
            read_relations(plain, ["a", "b", "a2"])
        places = [problem.where.split(".")[0] for problem in caught.value.problems]
        assert places == [f"relations[{i}]" for i in range(6)]
        assert "'c'" in str(caught.value.problems[0])

    def test_problems_say_rules_in_plain_words(self) -> None:
        plain = [
            {"kind": "equl"},
            {"kind": "equal", "source": [1], "target": "a", "form": 1},
            {"kind": "inequality", "ascending": ["a"]},
            {"kind": "interval", "start": "a"},
        ]
        with pytest.raises(MetadataError) as caught:
            read_relations(plain, ["a"])
        found = [str(problem) for problem in caught.value.problems]
        assert found[0].startswith("relations[0].kind: must be one of equal, ")
        assert found[0].endswith("did you mean 'equal'?")
        assert found[1:] == [
            "relations[1].source: must be a valid string or be a valid integer",
            "relations[1].form: must be one of kind, handling, source, target, share, when, values, found another",
            "relations[2].ascending: must have at least 2 items, found 1",
            "relations[3].end: must be given",
        ]

    def test_a_list_is_asked_for(self) -> None:
        with pytest.raises(MetadataError):
            read_relations({"kind": "equal"}, [])

    def test_text_has_no_numbers(self) -> None:
        with pytest.raises(ColumnTypeError):
            Inequality(ascending=("a", "b")).breaks(pd.DataFrame({"a": ["x"], "b": ["y"]}))
        for relation in (Inequality(ascending=("a", "b")), Interval(start="a", end="b")):
            with pytest.raises(ColumnTypeError, match=r"column 'a'.*must hold dates"):
                relation.breaks(pd.DataFrame({"a": [1, 2, 3, 4], "b": DAYS}))


class TestSDV:
    PARAMETERS: ClassVar[dict[str, dict[str, object]]] = {
        "Inequality": {"low_column_name": "a", "high_column_name": "b", "strict_boundaries": True},
        "Range": {
            "low_column_name": "a", "middle_column_name": "b", "high_column_name": "c", "strict_boundaries": False,
        },
        "FixedCombinations": {"column_names": ["a", "b"]},
        "FixedIncrements": {"column_name": "a", "increment_value": 5.0},
        "OneHotEncoding": {"column_names": ["a", "b", "c"]},
    }  # fmt: skip

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_a_constraint_there_and_back_is_the_same(self, name: str) -> None:
        relation = from_constraint(name, self.PARAMETERS[name])
        assert to_constraint(relation) == {"constraint_class": name, "constraint_parameters": self.PARAMETERS[name]}

    @pytest.mark.parametrize(
        ("name", "parameters", "expression"),
        [
            ("ScalarInequality", {"column_name": "a b", "relation": ">=", "value": 3}, "`a b` >= 3"),
            ("ScalarInequality", {"column_name": "d", "relation": "<", "value": "2020-01-01"}, "d < '2020-01-01'"),
            ("ScalarRange", {"column_name": "a", "low_value": 0, "high_value": 9.5}, "0 < a < 9.5"),
            ("ScalarRange", {"column_name": "a", "low_value": 0, "high_value": 9, "strict_boundaries": False}, "0 <= a <= 9"),
            ("Positive", {"column_name": "a"}, "0 <= a"),
            ("Negative", {"column_name": "a", "strict_boundaries": True}, "a < 0"),
        ],
    )  # fmt: skip
    def test_bounds_are_predicates(self, name: str, parameters: dict[str, object], expression: str) -> None:
        assert from_constraint(name, parameters) == Predicate(expression=expression)

    def test_every_constraint_is_tested(self) -> None:
        assert {*self.PARAMETERS, "ScalarInequality", "ScalarRange", "Positive", "Negative"} == set(CONSTRAINTS)

    def test_others_are_refused_with_a_hint(self) -> None:
        with pytest.raises(MetadataError, match=r"write what it says as .*predicate"):
            from_constraint("CustomConstraint", {})
        with pytest.raises(MetadataError, match="plain values"):
            from_constraint("ScalarInequality", {"column_name": "a", "relation": "~", "value": 3})
        with pytest.raises(MetadataError, match="did you mean 'Inequality'"):
            from_constraint("Inequalty", {})
        with pytest.raises(MetadataError):
            from_constraint("Inequality", {"low_column_name": "a"})
        with pytest.raises(MetadataError):
            from_constraint("FixedIncrements", {"column_name": "a", "increment_value": -1})
        assert to_constraint(Interval(start="a", end="b")) is None


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 30))
    cells = st.one_of(st.none(), st.integers(-3, 3))
    df = pd.DataFrame({name: draw(st.lists(cells, min_size=n, max_size=n)) for name in "abc"}, dtype="Int64")
    return df if draw(st.booleans()) else df.astype(float)


class TestBreaksByHand:
    """The vectorised answer is that of a loop over rows with Python's own numbers."""

    @given(tables())
    @settings(deadline=None, max_examples=60)
    def test_rows_one_by_one(self, df: pd.DataFrame) -> None:
        most = df.groupby(["a", "b"]).size()
        rules = [
            (Equal(source="a", target="b"), "ab", lambda a, b, c: a == b),
            (Computed(target="c", formula="a + b"), "abc", lambda a, b, c: a + b == c),
            (Computed(target="c", formula="a * b - a"), "abc", lambda a, b, c: a * b - a == c),
            (Inequality(ascending=("a", "c"), strict=True), "ac", lambda a, b, c: a < c),
            (Predicate(expression="a < b <= 2 or not c in [1, 2]"), "abc", lambda a, b, c: a < b <= 2 or c not in (1, 2)),
            (MissingWhen(target="b", when="a", values=(1, 2)), "a", lambda a, b, c: (b is None) == (a in (1, 2))),
            (Combinations(among=("a", "b")).learnt(df, 2), "ab", lambda a, b, c: most[a, b] >= 2),
        ]  # fmt: skip
        rows = [[None if pd.isna(cell) else int(cell) for cell in row] for row in df.to_numpy(dtype=object)]
        for relation, needed, keeps in rules:
            expected = [
                all(dict(zip("abc", row, strict=True))[name] is not None for name in needed) and not keeps(*row)
                for row in rows
            ]
            assert relation.breaks(df).tolist() == expected, relation


@pytest.mark.parametrize(
    "plain",
    [
        {"kind": "computed", "target": "a", "formula": "a + 0"},
        {"kind": "determines", "by": ["a"], "target": "a"},
        {"kind": "equal", "source": "a", "target": "a"},
    ],
)
def test_a_column_is_not_determined_from_itself(plain):
    with pytest.raises(MetadataError) as caught:
        read_relations([plain], ["a", "b"])
    assert [problem.where for problem in caught.value.problems] == ["relations[0]"]
