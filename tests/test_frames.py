"""Tables of other libraries are learnt and given back in kind."""

from __future__ import annotations

import datetime
import pickle
import subprocess
import sys
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.clover import TVAEGenerator
from clover_tvae.columns.frames import read_frame
from clover_tvae.errors import CloverWarning, DataError
from clover_tvae.evaluation import measure, shape_error

pytestmark = pytest.mark.long
N = 120
INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


def every_type() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    start = datetime.datetime(2020, 1, 1)
    gaps = [None if v < 20 else int(v) for v in rng.integers(0, 90, N)]
    minutes = [start + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 90_000, N)]
    return pl.DataFrame(
        {
            "cat": pl.Series(rng.choice(["a", "b", "c"], N), dtype=pl.Categorical),
            "enum": pl.Series(rng.choice(["low", "high"], N), dtype=pl.Enum(["low", "high"])),
            "day": [(start + datetime.timedelta(days=int(d))).date() for d in rng.integers(0, 900, N)],
            "plain": minutes,
            "when": pl.Series(minutes).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"),
            "price": [Decimal(int(v)).scaleb(-2) for v in rng.integers(0, 1000, N)],
            "flag": [None if v < 0.2 else v < 0.6 for v in rng.random(N)],
            "text": rng.choice(["x", "y"], N),
            "single": pl.Series(rng.normal(size=N), dtype=pl.Float32),
            "double": rng.normal(size=N),
            **{str(dtype): pl.Series(gaps, dtype=dtype) for dtype in INTEGERS},
        }
    )


@pytest.fixture(scope="module")
def fitted() -> TVAESynthesizer:
    return TVAESynthesizer(every_type(), epochs=1, random_state=1, verbose=False, privacy="none").fit()


class TestPolars:
    def test_every_dtype_survives(self, fitted):
        df, drawn = every_type(), fitted.sample(50, random_state=1)
        assert drawn.schema == df.schema
        assert drawn["flag"].null_count()
        assert drawn["Int8"].null_count()
        assert set(drawn["cat"]) <= {"a", "b", "c"}

    def test_the_cells_are_those_that_pandas_gets_of_the_same_table(self, fitted):
        of_pandas = TVAESynthesizer(
            read_frame(every_type())[0], epochs=1, random_state=1, verbose=False, privacy="none"
        ).fit()
        expected = of_pandas.sample(30, random_state=2)
        drawn = fitted.sample(30, random_state=2)
        assert isinstance(expected, pd.DataFrame)
        for name in ("text", "Int64", "day", "price"):
            assert drawn[name].to_list() == [None if cell is pd.NA else cell for cell in expected[name]]

    def test_rows_that_are_given_come_back_in_their_kind(self, fitted):
        df = every_type()
        filled = fitted.impute(df, random_state=1)
        assert filled.schema == df.schema
        assert filled["Int8"].null_count() == 0
        assert [type(one) for one in fitted.impute(df.head(3), 2)] == [pl.DataFrame] * 2
        balanced = fitted.balance("text", df=df)
        assert balanced.drop("is_synthetic").schema == df.schema
        assert {*balanced["text"].value_counts()["count"]} == {max(df["text"].value_counts()["count"])}
        partial = df.head(2).select("cat", pl.lit(None).alias("Int8"))
        assert fitted.sample(conditions=partial).drop("Int8").schema == df.drop("Int8").schema

    def test_scores_and_latent_rows_come_in_the_same_library(self, fitted):
        scores, latent = fitted.anomaly_scores(every_type().head(4)), fitted.encode(every_type().head(4))
        assert isinstance(scores, pl.DataFrame)
        assert scores.columns[0] == "score"
        assert set(scores.drop("breaks", strict=False).dtypes) == {pl.Float64}
        assert latent.shape[0] == 4
        assert fitted.reconstruct(every_type().head(4)).schema == every_type().schema

    def test_frames_of_flat_size_are_of_the_kind_too(self, fitted):
        assert [type(frame) for frame in fitted.sample_frames(5)] == [pl.DataFrame]

    def test_pandas_rows_given_to_a_synthesizer_of_polars_come_back_as_pandas(self, fitted):
        assert isinstance(fitted.impute(read_frame(every_type())[0]), pd.DataFrame)

    def test_a_query_is_run(self):
        lazy = every_type().lazy().select("text", "Int16")
        drawn = TVAESynthesizer(lazy, epochs=1, verbose=False).fit().sample(4)
        assert drawn.schema == lazy.collect_schema()

    def test_a_query_that_fails_is_told_without_its_cells(self):
        lazy = pl.LazyFrame({"text": ["secret", "7"]}).select(pl.col("text").cast(pl.Int8))
        with pytest.raises(DataError, match=r"of polars cannot be read \(InvalidOperationError\)") as caught:
            TVAESynthesizer(lazy)
        assert "secret" not in str(caught.value)

    def test_not_a_number_is_missing(self):
        df = pl.DataFrame({"x": [1.0, 2.0, float("nan"), 4.0] * 20})
        drawn = TVAESynthesizer(df, epochs=1, random_state=0, verbose=False).fit().sample(100)
        assert drawn["x"].is_null().any()
        assert not drawn["x"].is_nan().any()

    def test_as_scikit_learn_has_it(self):
        df = every_type().select("text", "double")
        assert isinstance(TVAESynthesizer(epochs=1, verbose=False).fit(df).sample(3), pl.DataFrame)

    def test_metadata_are_inferred_and_held_against_it(self):
        df = every_type()
        metadata = Metadata.infer(df)
        metadata.validate(df)
        assert metadata.column("enum").kind == "ordinal"
        with pytest.raises(DataError, match="'cat': the table has no such column"):
            metadata.validate(df.drop("cat"))

    def test_evaluation_and_report(self, fitted):
        df, drawn = every_type().drop("when", "price"), fitted.sample(N, random_state=3).drop("when", "price")
        figures = measure(df, drawn, seed=0)
        assert figures["fidelity.shape"].value == pytest.approx(shape_error(df, drawn))
        assert fitted.report(every_type(), seed=0).figures

    def test_clover_s_generator_takes_it(self, tmp_path):
        df = every_type().select("text", "double")
        generator = TVAEGenerator(df, {"continuous": ["double"], "categorical": ["text"]}, epochs=1)
        generator.preprocess()
        generator.fit(tmp_path)
        assert isinstance(generator.sample(tmp_path, 3), pl.DataFrame)


class TestWhatIsKept:
    def test_a_generator_file_gives_pandas_which_polars_takes_without_loss(self, fitted, tmp_path):
        fitted.save(tmp_path / "g.pkl")
        drawn = TVAESynthesizer.load(tmp_path / "g.pkl").sample(20, random_state=1)
        assert isinstance(drawn, pd.DataFrame)
        back = pl.from_pandas(drawn)
        types = every_type().schema
        assert {name for name in types if back.schema[name] != types[name]} <= {"enum"}
        assert back["price"].to_list() == fitted.sample(20, random_state=1)["price"].to_list()

    def test_the_synthesizer_keeps_no_category_that_too_few_people_have(self):
        rare = ["common"] * 99 + ["the one"]
        df = pl.DataFrame(
            {"c": pl.Series(rare, dtype=pl.Enum(["common", "the one"])), "x": [i / 7 for i in range(100)]}
        )
        metadata = {"categorical": ["c"], "continuous": ["x"]}
        with pytest.warns(CloverWarning, match="held by fewer than 5 people"):
            synth = TVAESynthesizer(df, metadata, epochs=1, verbose=False, privacy="none").fit()
        assert b"the one" not in pickle.dumps(synth)
        assert synth.sample(5)["c"].dtype == pl.Enum(["common"])

    def test_other_parameters_leave_the_library_as_it_is(self):
        df = every_type().select("text", "double")
        synth = TVAESynthesizer(df, epochs=2, verbose=False).set_params(epochs=1)
        assert isinstance(synth.fit().sample(2), pl.DataFrame)

    def test_learning_pandas_after_polars_gives_pandas(self):
        df = every_type().select("text", "double")
        synth = TVAESynthesizer(df, epochs=1, verbose=False).fit()
        assert isinstance(synth.fit(df.to_pandas()).sample(2), pd.DataFrame)


class TestOthers:
    def test_pyarrow_in_pyarrow_out(self):
        table = every_type().select("text", "Int8", "day", "price", "cat").to_arrow()
        drawn = TVAESynthesizer(table, epochs=1, verbose=False).fit().sample(10)
        assert isinstance(drawn, pa.Table)
        assert drawn.schema == table.schema

    def test_a_pyarrow_table_with_a_name_twice_is_refused(self):
        table = pa.table([[1, 2], [3, 4]], names=["a", "a"])
        with pytest.raises(DataError, match="2 columns have this name"):
            TVAESynthesizer(table)

    def test_a_duckdb_relation_gives_pandas(self):
        rows = every_type().select("text", "Int8", "day", "price").to_arrow()
        with duckdb.connect() as connection:
            relation = connection.from_arrow(rows).filter("text = 'x'")
            synth = TVAESynthesizer(relation, epochs=1, verbose=False).fit()
        drawn = synth.sample(10)
        assert isinstance(drawn, pd.DataFrame)
        assert set(drawn["text"]) == {"x"}
        assert drawn["Int8"].dtype == "int8[pyarrow]"

    @pytest.mark.parametrize("table", [[1, 2], {"a": [1]}, pl.Series("a", [1]), np.zeros((3, 2))])
    def test_what_is_no_table_is_refused_as_before(self, table):
        with pytest.raises(DataError, match="must be a pandas DataFrame"):
            TVAESynthesizer(table)


def test_narwhals_is_imported_only_for_a_table_that_needs_it():
    code = (
        "import sys, pandas as pd; from clover_tvae.synthesizer import Synthesizer;"
        "Synthesizer(pd.DataFrame({'x': [1.5, 2.5, 3.5] * 20}), {'continuous': ['x']}, epochs=1, verbose=False).fit().sample(2);"
        "assert 'narwhals' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
