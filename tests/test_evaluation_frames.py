"""What tables may be compared, and what is said of those that may not: names and counts, never a value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from evaluation_tables import hospital

from clover_tvae.errors import (
    ColumnsMismatchError,
    ColumnTypeError,
    DataError,
    DuplicateColumnsError,
    NonFiniteError,
    TooFewRowsError,
)
from clover_tvae.evaluation import column_shapes, fidelity, measure, privacy, utility
from clover_tvae.evaluation.copies import require_fresh
from clover_tvae.evaluation.frames import code_tables

CANARY = "CANARY-4711"


class _Column:
    def __init__(self, kind, format=None):
        self.kind, self.format = kind, format


class _Described:
    """The least that the evaluation asks of a metadata."""

    def __init__(self, columns, variable_to_predict=None):
        self._columns, self.variable_to_predict = columns, variable_to_predict

    @property
    def names(self):
        return tuple(self._columns)

    def column(self, name):
        return self._columns[name]


def test_columns_must_be_the_same_and_all_differences_are_told_at_once():
    real = pd.DataFrame({"age": [1, 2], "sex": list("FM"), "town": list("ab")})
    other = real.rename(columns={"age": "aeg"}).drop(columns="town")
    with pytest.raises(ColumnsMismatchError) as caught:
        column_shapes(real, other)
    message = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "'town'" in message
    assert "did you mean 'age'" in message


def test_another_order_of_columns_is_fine():
    real = pd.DataFrame({"age": [1, 2], "sex": list("FM")})
    assert column_shapes(real, real[["sex", "age"]]).to_dict() == {"age": 0, "sex": 0}


def test_duplicate_names_empty_tables_and_other_types_are_refused():
    table = pd.DataFrame({"x": [1.0, 2.0]})
    with pytest.raises(DuplicateColumnsError):
        column_shapes(pd.concat([table, table], axis=1), table)
    with refuses(TooFewRowsError, "synthetic table"):
        column_shapes(table, table.iloc[:0])
    with refuses(DataError, "synthetic table"):
        column_shapes(table, [1.0, 2.0])


def test_cells_that_are_no_numbers_are_counted_but_not_shown():
    real = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, np.inf]})
    other = pd.DataFrame({"x": ["1", CANARY, "3"], "y": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError) as caught:
        column_shapes(real, other)
    assert {problem.kind for problem in caught.value.problems} == {ColumnTypeError, NonFiniteError}
    assert "1 of 3" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_text_against_numbers_in_a_category_column_is_an_error_not_a_figure():
    described = _Described({"code": _Column("categorical")})
    with refuses(ColumnTypeError, "synthetic table, column 'code'"):
        column_shapes(pd.DataFrame({"code": [1, 2, 1]}), pd.DataFrame({"code": ["1", "2", "1"]}), described)
    with refuses(ColumnTypeError, "column 'code'"):
        column_shapes(pd.DataFrame({"code": [[1], [2]]}), pd.DataFrame({"code": [[1], [2]]}), described)


def test_whole_numbers_fractions_and_nullable_dtypes_agree():
    real = pd.DataFrame({"x": pd.array([1, 2, None], dtype="Int64"), "c": pd.array(["a", None, "b"], dtype="string")})
    other = pd.DataFrame({"x": [1.0, 2.0, np.nan], "c": pd.Categorical(["a", None, "b"])})
    assert column_shapes(real, other).to_dict() == {"x": 0.0, "c": 0.0}


def test_metadata_decides_kinds_and_leaves_identifiers_out():
    described = _Described(
        {
            "id": _Column("id"),
            "grade": _Column("ordinal"),
            "when": _Column("datetime", "%d/%m/%Y"),
            "note": _Column("ignore"),
            "size": _Column("continuous"),
        }
    )
    real = pd.DataFrame(
        {"id": [1, 2], "grade": [1, 2], "when": ["31/01/2020", None], "note": ["a", "b"], "size": ["1.5", "2"]}
    )
    other = real.drop(columns=["id", "note"])
    coded = code_tables({"real": real, "synthetic": other}, described)
    assert coded.names == ("grade", "when", "size")
    assert coded.category_names == ("grade",)
    assert coded["real"].numbers[0, 0] == pd.Timestamp("2020-01-31").value
    with pytest.raises(ColumnTypeError, match="%d/%m/%Y"):
        column_shapes(real, other.assign(when=["2020-13-45", None]), described)
    with refuses(DataError, "real table"):
        column_shapes(real[["id"]], real[["id"]], _Described({"id": _Column("id")}))


def test_dates_of_several_offsets_and_of_far_centuries_are_instants():
    described = _Described({"at": _Column("datetime", "%Y-%m-%d %H:%M:%S%z"), "until": _Column("datetime", "%Y-%m-%d")})
    real = pd.DataFrame(
        {
            "at": ["2020-01-31 12:00:00+01:00", "2020-07-31 12:00:00+02:00", None],
            "until": ["9999-12-31", "1066-10-14", "2020-01-31"],
        }
    )
    at, until = code_tables({"real": real, "synthetic": real}, described)["real"].numbers.T
    assert at[0] == pd.Timestamp("2020-01-31 11:00").value
    assert at[1] == pd.Timestamp("2020-07-31 10:00").value
    assert np.isnan(at[2])
    assert until[0] == pytest.approx(np.datetime64("9999-12-31", "s").astype(int) * 1e9)
    assert until[1] == pytest.approx(np.datetime64("1066-10-14", "s").astype(int) * 1e9)
    with pytest.raises(ColumnTypeError, match="1 of 3 cells"):
        column_shapes(real, real.assign(until=["9999-12-31", "never", "2020-01-31"]), described)


def test_clovers_mapping_is_read():
    table = pd.DataFrame({"age": [1, 2, 3], "sex": list("FMF")})
    described = {"continuous": ["age"], "categorical": ["sex"], "variable_to_predict": None}
    assert column_shapes(table, table, described).to_dict() == {"age": 0.0, "sex": 0.0}


def test_names_may_be_anything_hashable():
    table = pd.DataFrame({1: [1.0, 2, 3], "a\U0001f600b": list("xyx"), ("t", 2): [True, False, True]})
    table.columns = pd.Index([1, "a\U0001f600b", ("t", 2)], tupleize_cols=False)
    assert list(column_shapes(table, table).index) == [1, "a\U0001f600b", ("t", 2)]


@pytest.mark.long
@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_tiny_tables_give_figures_without_values_rather_than_tracebacks(n_rows):
    table = hospital(n_rows, 0)
    measured = fidelity(table, table, table)
    assert measured["fidelity.c2st"].value is None or n_rows >= 6
    assert privacy(table, table, hospital(n_rows, 1))["privacy.dcr_share"].value is None
    assert utility(table, table, table, target="sick")["utility.trees_auc"].value in (None, 0.5, 1.0)


def test_a_holdout_of_the_rows_that_were_learnt_is_refused():
    real = hospital(200, seed=1)
    half = pd.concat([real[:80], hospital(40, seed=4)])
    for copy in (
        real,
        real.copy(),
        real.sample(frac=1, random_state=2),
        real[:60],
        real.sample(300, replace=True),
        half,
    ):
        with pytest.raises(DataError, match="holdout table: must hold real rows that were never learnt"):
            measure(real, hospital(200, seed=3), copy)
        with pytest.raises(DataError, match="holdout table"):
            privacy(real, hospital(200, seed=3), copy)
    for n_kinds in (10, 60, 150, 1_000):  # where rows are alike, many strangers equal a learnt row
        kinds = np.random.default_rng(n_kinds).integers(0, n_kinds, (2, 300))
        require_fresh(
            code_tables({"real": pd.DataFrame({"x": kinds[0]}), "holdout": pd.DataFrame({"x": kinds[1, :30]})})
        )
    table = hospital(600, seed=5)
    with pytest.raises(DataError, match="found 30 of 150 in the real table; take them out"):
        require_fresh(code_tables({"real": table[:450], "holdout": pd.concat([table[480:], table[:30]])}))
    pairs = pd.concat([table[:60], table]).sample(
        frac=1, random_state=1
    )  # rows that stand there twice, dealt at random
    require_fresh(code_tables({"real": pairs[:450], "holdout": pairs[450:]}))
    for row in (pairs.tail(1), table[:1]):  # the one row that stands there twice, on both sides of a small part
        require_fresh(code_tables({"real": pd.concat([table, row]), "holdout": pd.concat([hospital(39, seed=8), row])}))
    few = pd.DataFrame({"sex": ["F", "M"] * 20})  # of so few kinds of rows, two samples may be the same
    require_fresh(code_tables({"real": few, "holdout": few, "synthetic": few}))


@pytest.mark.long
def test_frames_are_not_changed():
    real, synthetic = hospital(60, 0), hospital(60, 1)
    before = real.copy(), synthetic.copy()
    fidelity(real, synthetic)
    utility(real, synthetic, real, target="sick")
    pd.testing.assert_frame_equal(real, before[0])
    pd.testing.assert_frame_equal(synthetic, before[1])


@pytest.mark.long
def test_the_learnt_rows_are_hashed_once_for_all_figures_and_once_beside_the_others(monkeypatch):
    real, holdout = hospital(300, 1), hospital(150, 2)
    hashed, hash_array = [], pd.util.hash_array
    monkeypatch.setattr(
        pd.util, "hash_array", lambda cells, **how: (hashed.append(len(cells)), hash_array(cells, **how))[1]
    )
    measure(real, hospital(200, 3), holdout)
    assert hashed.count(300) == real.shape[1]
