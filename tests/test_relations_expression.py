"""Expressions over columns: what the grammar has, what it refuses, and that nothing is ever run."""

from __future__ import annotations

import contextlib
import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clover_tvae.errors import ColumnTypeError
from clover_tvae.relations.expression import MAX_CHARACTERS, Expression, quoted

DF = pd.DataFrame(
    {
        "a": [1, 2, 3],
        "b": [0.5, np.nan, -1.0],
        "d.time": [5, 6, 7],
        "sex": ["f", "m", None],
        "day": pd.to_datetime(["2024-02-29 00:00", "2023-12-31 13:45", None]),
        "text day": ["01/02/2020", "03/04/2020", "31/12/2020"],
        "flag": [True, False, True],
    }
)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a + 2 * `d.time`", [11, 14, 17]),
            ("-a // 2", [-1, -1, -2]),
            ("a % 2 == 1 and not a > 2", [True, False, False]),
            ("1 < a <= 3", [False, True, True]),
            ("sex in ['f', 'm']", [True, True, False]),
            ("sex not in ('f',)", [False, True, True]),
            ("sex == 'f'", [True, False, False]),
            ("sex < 'g' or flag", [True, False, True]),
            ("is_missing(b) or is_missing(sex)", [False, True, True]),
            ("max(a, 2) - min(a, 2, `d.time`)", [1, 0, 1]),
            ("abs(floor(-0.5 - a))", [2, 3, 4]),
            ("month(day) == 2", [True, False, False]),
            ("hour(day) * 60 + minute(day) == 825", [False, True, False]),
            ("day < '2024-01-01'", [False, True, False]),
            ("age('2020-03-01', `text day`) == -1", [True, False, False]),
            ("`text day` - '2020-02-01'", [0, 62, 334]),
            ("ceil(a / 2) + floor(0.1 * 30)", [4, 4, 5]),
            ("log(a - a + 1) + log10(a - a + 100)", [2, 2, 2]),
            ("hour(day) > 0 and date(day) == '2023-12-31'", [False, True, False]),
            ("flag == True", [True, False, True]),
            ("'`not a name`' == sex or a == 1", [True, False, False]),
        ],
    )
    def test_each_row(self, text: str, expected: list[object]) -> None:
        assert Expression(text).evaluate(DF).tolist() == expected

    def test_a_difference_of_dates_is_in_days(self) -> None:
        df = pd.DataFrame({"a": pd.to_datetime(["2024-02-28"]), "b": pd.to_datetime(["2024-03-01 12:00"])})
        assert Expression("b - a").evaluate(df).tolist() == [2.5]
        far = pd.DataFrame(
            {"a": pd.to_datetime(["1700-01-01"]).as_unit("ns"), "b": pd.to_datetime(["2200-01-01"]).as_unit("ns")}
        )
        assert Expression("b - a").evaluate(far).tolist() == [182_621]
        assert Expression("b - a").evaluate(far.assign(b=np.array(["9999-12-31"], "M8[s]"))).tolist() == [3_031_511]

    @pytest.mark.parametrize(
        ("zone", "time", "expected"),
        [
            ("Europe/Paris", "1976-09-26 00:30", 0.5),  # of two midnights the first
            ("Europe/Paris", "1976-09-26 10:00", 11),
            ("America/Santiago", "2023-09-03 10:00", 9),  # of none what comes after it
            ("Europe/Paris", "0001-01-01 10:00", 10),
            ("Europe/Paris", "9999-12-31 10:00", 10),
        ],
    )
    def test_a_day_begins_in_its_zone(self, zone: str, time: str, expected: float) -> None:
        moment = datetime.datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone))
        df = pd.DataFrame({"at": np.array([moment, None], dtype=object)})
        assert Expression("(at - date(at)) * 24").evaluate(df).tolist()[0] == pytest.approx(expected)
        assert Expression("date(at) <= at").evaluate(df).tolist() == [True, False]

    def test_days_between_two_dates_are_whole_in_any_zone(self) -> None:
        df = pd.DataFrame({"a": pd.to_datetime(["2024-03-30 10:00", "2024-06-01 22:00"]).tz_localize("Europe/Paris")})
        df["b"] = pd.to_datetime(["2024-04-01 01:00", "2024-12-01 01:00"]).tz_localize("Europe/Paris")
        assert Expression("date(b) - date(a)").evaluate(df).tolist() == [2, 183]
        first = np.array([datetime.datetime(1, 1, 1, 10, tzinfo=ZoneInfo("Europe/Paris"))] * 2, dtype=object)
        assert Expression("date(b) - date(a)").evaluate(df.assign(a=first)).tolist() == [738_976, 739_220]

    @given(st.dates(datetime.date(1900, 1, 1)), st.dates(datetime.date(1900, 1, 1)))
    @settings(deadline=None)
    def test_age_is_the_number_of_birthdays(self, born: datetime.date, at: datetime.date) -> None:
        df = pd.DataFrame({name: np.array([day], "M8[s]") for name, day in (("born", born), ("at", at))})
        expected = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
        assert Expression("age(born, at)").evaluate(df).tolist() == [expected]

    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(["quoted_1_", "a`b", "``"]))
    @settings(deadline=None)
    def test_any_name_can_be_written(self, name: str) -> None:
        assert Expression(f"{quoted(name)} + 1").columns == (name,)

    def test_a_name_that_is_a_number_is_no_text(self) -> None:
        df = pd.DataFrame({0: [1.0, 2.0], "0": [10.0, 20.0]})
        expression = Expression("column(0) + `0` > 11 or\n is_missing(column( 0 ))")
        assert expression.columns == (0, "0")
        assert expression.evaluate(df).tolist() == [False, True]
        assert Expression(f"{quoted(-7)} + 1").columns == (-7,)


class TestColumns:
    def test_those_that_are_asked_whether_they_are_missing_are_not_needed(self) -> None:
        expression = Expression("is_missing(a) or b > c or is_missing(c)")
        assert expression.columns == ("a", "b", "c")
        assert expression.needed == ("b", "c")


class TestRefusals:
    @pytest.mark.parametrize(
        "text",
        [
            "", "1 + 1", "a +", "a; b", "a = 1", "a ** 9 ** 9", "a << 3", "a | b", "a if b else c", "[a for a in b]",
            "lambda: a", "a.b", "a[0]", "a()", "(a)(b)", "__import__('os').system('id')", "open('x') == a", "f'{a}'",
            "a is b", "a in b", "a in []", "a in [b]", "a == [1]", "a := 3", "{a}", "...", "b'x' == a", "1j * a",
            "a and", "is_missing(a + 1)", "is_missing(1)", "is_missing(a, b)", "min(a)", "age(a)", "year(a, b)",
            "abs(a, key=b)", "min(*a)", "round(a, 2)", "~a", "+a", "a @ b", "await a", "a, b", "quoted_1_ > `b c`",
            "1 < a in [1]", "a in [1] < 3", "yield a", "a if (b := 1) else 2", "print(a)", "a.__class__", "a['b']", "(a for a in b)", "99999999999999999999 * a",
            "(" * 500 + "a" + ")" * 500, "-" * 100 + "a", "a + " * 100 + "a", "a" * (MAX_CHARACTERS + 1), "a\x00b",
        ],
    )  # fmt: skip
    def test_everything_else_is_no_expression(self, text: str) -> None:
        with pytest.raises(ValueError, match="must"):
            Expression(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a / 0 > 1", "found '0' at character 5"),
            ("a > 1 or 1 < 2", "must compare with a column, found '1' at character 10"),
            ("a > 1 and True", "must join comparisons by .*, found 'True' at character 11"),
            ("a + 1 or a > 2", "must join comparisons by .*, found 'a' at character 1"),
            ("`d.time` ** 2 > `a b`", r"found '\*\*' at character 10"),
            ("'é' == sex and a if a else a", "found 'if' at character 18"),
            ("  (a) & a", "found '&' at character 7; write 'and'"),
            ("a = 1", "found '=' at character 3; write '=='"),
            ("a >", "found the end of the text"),
            ("a == None", "found 'None' at character 6"),
            ("a is b", "found 'is' at character 3"),
            ("1 < round(a, 2)", r"must be written as round\(number\), found 'round' at character 5"),
            ("a > 1 # or so", "must hold no comments"),
        ],
    )
    def test_says_in_plain_words_what_is_wrong_and_where(self, text: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Expression(text)

    @pytest.mark.parametrize(
        ("text", "is_truth"), [("a > 1", True), ("not flag", True), ("flag", True), ("a + 1", False), ("abs(a)", False)]
    )
    def test_knows_whether_it_is_true_or_false(self, text: str, is_truth: bool) -> None:
        assert Expression(text).is_truth is is_truth

    def test_what_is_nested_in_chains_is_read_once(self) -> None:
        text = "a"
        for _ in range(30):
            text = f"a < ({text}) < a"  # read twice a level, this would take hours
        assert Expression(text).evaluate(DF).tolist() == [False, False, False]

    def test_python_says_nothing_of_the_text(self, recwarn: pytest.WarningsRecorder) -> None:
        for text in ("a == '\\d'", "1 is a", "'x'(a)"):
            with contextlib.suppress(ValueError):
                Expression(text)
        assert not recwarn.list

    @given(st.text(max_size=60))
    @settings(deadline=None, max_examples=300)
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        with contextlib.suppress(ValueError):  # any other error fails the test
            Expression(text)

    @pytest.mark.parametrize(
        "text", ["sex + 1", "-sex == 1", "abs(sex) > 1", "year(a) == 1", "sex < 3", "a < 'x'", "a or flag", "not sex"]
    )
    def test_cells_of_another_type_are_a_user_error(self, text: str) -> None:
        with pytest.raises(ColumnTypeError):
            Expression(text).evaluate(DF)
