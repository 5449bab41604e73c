"""SDV's TVAE behind the face of a backend: seeded, quiet, exact in its dtypes, and never opened without trust."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import random
import subprocess
import sys
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import needs_sdv, refuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.backends import BACKENDS, ReadsRows, load_backend, make_backend
from clover_tvae.backends.isolation import quiet, seeded_globals
from clover_tvae.backends.sdv import SDV_DEFAULTS, SdvBackend
from clover_tvae.backends.sdv_rows import encoded, flat_names, flattened, table_from_plain
from clover_tvae.errors import (
    ColumnTypeError,
    ConditionError,
    ConfigError,
    CorruptArtifactError,
    DataError,
    IdentifierColumnError,
    MissingExtraError,
    NotFittedError,
    TrainingError,
    UnsafeArtifactError,
)
from clover_tvae.transforms import TableTransform

pytestmark = [pytest.mark.long, needs_sdv]

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"epochs": 2, "batch_size": 100, "compress_dims": (16,), "decompress_dims": (16,), "embedding_dim": 4}
CANARY = "canary-7f3a9c"


def staff(n: int = 200) -> pd.DataFrame:
    """A table of every kind of column and of many dtypes."""
    rng = np.random.default_rng(7)
    df = pd.DataFrame(
        {
            "number": [f"E-{i:05d}" for i in range(n)],
            "age": rng.integers(18, 66, n).astype("int16"),
            "salary": pd.array(rng.integers(200, 900, n) * 100, dtype="Int64"),
            "score": np.round(rng.normal(50, 10, n), 1).astype("float32"),
            "rate": [Decimal(int(v)) / 100 for v in rng.integers(100, 999, n)],
            "gender": pd.Categorical(rng.choice(["F", "M"], n, p=[0.3, 0.7]), categories=["M", "F"]),
            "grade": rng.choice([1, 2, 3], n),
            "part_time": pd.array(rng.random(n) < 0.3, dtype="boolean"),
            "hired": (pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 5000, n), unit="D")).tz_localize(
                "Europe/Paris"
            ),
            "left": [f"{d:02d}/06/2020" for d in rng.integers(1, 31, n)],
            "note": "ignored",
        }
    )
    df.loc[:19, "salary"] = pd.NA
    df.loc[10:39, "part_time"] = pd.NA
    df.loc[30:49, "gender"] = np.nan
    df.loc[40:69, "left"] = None
    df["both"] = pd.Series([1, "1", 1.0, True] * (n // 4), dtype=object)
    return df


METADATA = Metadata.of(
    {
        "continuous": ["age", "salary", "score", "rate"],
        "categorical": ["gender", "both"],
        "ordinal": ["grade"],
        "boolean": ["part_time"],
        "datetime": {"hired": {"time_zone": "Europe/Paris"}, "left": {"format": "%d/%m/%Y"}},
        "id": {"number": {"pattern": "E-#####"}},
        "ignore": ["note"],
    }
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return staff()


FEW = Metadata.of({"continuous": ["age"], "categorical": ["gender"]})


@pytest.fixture(scope="module")
def few(table: pd.DataFrame) -> pd.DataFrame:
    """Two columns, for what does not hang on the kinds of columns: SDV needs a second for each number."""
    return table[["age", "gender"]]


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> SdvBackend:
    return SdvBackend(**SMALL).fit(table, METADATA, seed=11)


def run_python(code: str, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_last_column(plain: dict) -> dict:
    kept = plain["columns"][:-1]
    names = [column["column"]["name"] for column in (*kept, *({"column": i} for i in plain["identifiers"]))]
    order = [name for name in plain["order"] if name in names]
    return {**plain, "columns": kept, "order": order, "copies": plain["copies"][:-1]}


def rows_of(backend: SdvBackend, n_rows: int, **options: object) -> pd.DataFrame:
    return pd.concat(list(backend.sample_frames(n_rows, **options)), ignore_index=True)


def digest(df: pd.DataFrame) -> str:
    return hashlib.sha256(df.to_csv().encode()).hexdigest()


class TestRows:
    def test_columns_order_and_dtypes_are_those_of_training(self, table: pd.DataFrame, fitted: SdvBackend) -> None:
        rows = rows_of(fitted, 300, seed=1)
        expected = table.drop(columns="note")
        assert list(rows.columns) == list(expected.columns)
        assert rows.dtypes.to_dict() == expected.dtypes.to_dict()
        assert len(rows) == 300

    def test_values_lie_on_the_grid_and_in_the_range_of_training(self, table: pd.DataFrame, fitted: SdvBackend) -> None:
        rows = rows_of(fitted, 300, seed=1)
        for name in ("age", "score", "rate", "hired"):
            assert rows[name].min() >= table[name].min()
            assert rows[name].max() <= table[name].max()
        assert {type(cell) for cell in rows["rate"]} == {Decimal}
        assert {-cell.as_tuple().exponent for cell in rows["rate"]} == {2}
        assert (np.round(rows["score"], 1) == rows["score"]).all()
        assert (rows["hired"] == rows["hired"].dt.normalize()).all()
        assert set(rows["left"].dropna()) <= {f"{day:02d}/06/2020" for day in range(1, 31)}

    def test_cells_that_look_alike_stay_apart(self, fitted: SdvBackend) -> None:
        kinds = {(type(cell), str(cell)) for cell in rows_of(fitted, 300, seed=1)["both"]}
        assert kinds <= {(int, "1"), (str, "1"), (float, "1.0"), (bool, "True")}
        assert len(kinds) > 1

    def test_missing_cells_come_where_training_had_them(self, table: pd.DataFrame, fitted: SdvBackend) -> None:
        rows = rows_of(fitted, 2000, seed=1)
        never = [name for name in rows if not table[name].isna().any()]
        assert not rows[never].isna().any(axis=None)
        assert abs(rows["salary"].isna().mean() - 0.1) < 0.04

    def test_identifiers_are_made_anew_and_ignored_columns_are_gone(self, fitted: SdvBackend) -> None:
        rows = rows_of(fitted, 3, seed=1)
        assert rows["number"].tolist() == ["E-00001", "E-00002", "E-00003"]
        assert "note" not in rows

    def test_the_table_is_not_changed(self, table: pd.DataFrame) -> None:
        before = table.copy(deep=True)
        SdvBackend(**{**SMALL, "epochs": 1}).fit(table, METADATA, seed=1)
        pd.testing.assert_frame_equal(table, before)

    def test_no_rows_have_the_columns_all_the_same(self, table: pd.DataFrame, fitted: SdvBackend) -> None:
        rows = rows_of(fitted, 0, seed=1)
        assert len(rows) == 0
        assert list(rows.columns) == list(table.drop(columns="note").columns)

    def test_a_loosened_backend_leaves_the_range_and_the_decimals(self) -> None:
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"x": np.round(rng.normal(size=300), 1), "k": rng.integers(0, 100, 300).astype("int8")})
        metadata = Metadata.of({"continuous": ["x", "k"]})
        loose = SdvBackend(**SMALL, enforce_min_max_values=False, enforce_rounding=False).fit(df, metadata, seed=1)
        rows = rows_of(loose, 2000, seed=1)
        assert (np.round(rows["x"], 1) != rows["x"]).mean() > 0.5
        assert rows["k"].dtype == np.int8
        outside = (rows["x"] < df["x"].min()) | (rows["x"] > df["x"].max()) | (rows["k"] < 0) | (rows["k"] > 99)
        assert outside.any()


class TestSeeds:
    def test_two_fits_with_one_seed_give_the_same_rows(self, table: pd.DataFrame, fitted: SdvBackend) -> None:
        again = SdvBackend(**SMALL).fit(table, METADATA, seed=11)
        pd.testing.assert_frame_equal(rows_of(again, 100, seed=3), rows_of(fitted, 100, seed=3))
        assert [row["loss"] for row in again.history] == [row["loss"] for row in fitted.history]

    def test_another_seed_gives_another_generator(self, few: pd.DataFrame) -> None:
        one, other = (rows_of(SdvBackend(**SMALL).fit(few, FEW, seed=seed), 100, seed=3) for seed in (1, 2))
        assert not one.equals(other)

    def test_a_new_process_gives_the_same_rows(self, fitted: SdvBackend) -> None:
        code = (
            "from test_backends_sdv import METADATA, SMALL, digest, rows_of, staff\n"
            "from clover_tvae.backends.sdv import SdvBackend\n"
            "print(digest(rows_of(SdvBackend(**SMALL).fit(staff(), METADATA, seed=11), 100, seed=3)))\n"
        )
        assert run_python(code, PYTHONHASHSEED="77").strip() == digest(rows_of(fitted, 100, seed=3))

    def test_a_seed_fixes_rows_whatever_was_drawn_before(self, fitted: SdvBackend) -> None:
        first = rows_of(fitted, 50, seed=5)
        rows_of(fitted, 30, seed=6)
        pd.testing.assert_frame_equal(rows_of(fitted, 50, seed=5), first)
        assert not rows_of(fitted, 50, seed=6).equals(first)

    def test_gaps_depend_on_the_seed_too(self, fitted: SdvBackend) -> None:
        a, b = (rows_of(fitted, 500, seed=seed)["salary"].isna() for seed in (1, 2))
        assert (a != b).any()

    def test_a_longer_sample_starts_with_the_shorter_one(self, fitted: SdvBackend) -> None:
        long = rows_of(fitted, 7000, seed=5)
        pd.testing.assert_frame_equal(rows_of(fitted, 10, seed=5), long.head(10))

    def test_a_seed_sequence_is_left_as_it_was(self, fitted: SdvBackend) -> None:
        seed = np.random.SeedSequence(9)
        pd.testing.assert_frame_equal(rows_of(fitted, 20, seed=seed), rows_of(fitted, 20, seed=seed))
        assert seed.n_children_spawned == 0

    def test_without_a_seed_every_call_draws_other_rows(self, fitted: SdvBackend) -> None:
        assert not rows_of(fitted, 50).equals(rows_of(fitted, 50))

    def test_the_global_generators_are_left_alone(self, few: pd.DataFrame) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        rows_of(SdvBackend(**{**SMALL, "epochs": 1}).fit(few, FEW, seed=1), 10, seed=1)
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        assert before == after

    def test_the_global_generators_come_back_after_an_error(self) -> None:
        before = random.getstate(), torch.get_rng_state().tolist()
        with contextlib.suppress(KeyError), seeded_globals(np.random.SeedSequence(1)):
            random.random()
            torch.rand(3)
            raise KeyError
        assert before == (random.getstate(), torch.get_rng_state().tolist())

    @pytest.mark.parametrize("flushed", [False, True])
    def test_denormal_numbers_are_afterwards_what_they_were_before(self, few: pd.DataFrame, flushed: bool) -> None:
        torch.set_flush_denormal(flushed)
        try:
            SdvBackend(**{**SMALL, "epochs": 1}).fit(few, FEW, seed=1)
            assert (float(torch.tensor([1e-310], dtype=torch.float64) * 1.0) == 0) is flushed
        finally:
            torch.set_flush_denormal(False)


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "holds"),
        [
            ({"gender": "F"}, lambda rows: rows["gender"] == "F"),
            ({"gender": ["F", "M"]}, lambda rows: rows["gender"].isin(["F", "M"])),
            ({"gender": None}, lambda rows: rows["gender"].isna()),
            ({"gender": ("!=", "F"), "age": ("<", 60)}, lambda rows: (rows["gender"] == "M") & (rows["age"] < 60)),
            ({"age": (">=", 40)}, lambda rows: rows["age"] >= 40),
            ({"age": ("between", 30, 50)}, lambda rows: rows["age"].between(30, 50)),
            ({"age": list(range(30, 66))}, lambda rows: rows["age"].isin(range(30, 66))),
            ({"age": ("!=", 40)}, lambda rows: rows["age"] != 40),
            ({"salary": None}, lambda rows: rows["salary"].isna()),
            ({"salary": ("not missing",)}, lambda rows: rows["salary"].notna()),
            ({"grade": (">", 1)}, lambda rows: rows["grade"] > 1),
            (
                {"hired": (">", "2014-01-01")},
                lambda rows: rows["hired"] > pd.Timestamp("2014-01-01", tz="Europe/Paris"),
            ),
        ],
        ids=[str(i) for i in range(12)],
    )
    def test_every_row_meets_it(self, fitted: SdvBackend, condition: dict, holds) -> None:
        rows = rows_of(fitted, 40, seed=2, conditions=condition)
        assert len(rows) == 40
        assert holds(rows).all()

    def test_conditional_rows_are_fixed_by_the_seed(self, fitted: SdvBackend) -> None:
        wanted = {"age": (">=", 40)}
        long = rows_of(fitted, 60, seed=2, conditions=wanted)
        pd.testing.assert_frame_equal(rows_of(fitted, 20, seed=2, conditions=wanted), long.head(20))
        assert long["number"].tolist() == [f"E-{i:05d}" for i in range(1, 61)]

    def test_missing_cells_can_be_forbidden(self, fitted: SdvBackend) -> None:
        assert not rows_of(fitted, 40, seed=2, missing=False).isna().any(axis=None)

    def test_all_problems_are_told_at_once_and_no_value(self, fitted: SdvBackend) -> None:
        conditions = {
            "agee": 3,
            "gender": CANARY,
            "age": (">", 500),
            "score": None,
            "both": ("<", 3),
            "number": "E-00001",
            "grade": ("about", 3),
        }
        with pytest.raises(ConditionError) as caught:
            rows_of(fitted, 3, seed=1, conditions=conditions)
        message = str(caught.value)
        assert len(caught.value.problems) == len(conditions)
        assert "did you mean 'age'" in message
        assert CANARY not in message

    def test_what_is_met_too_rarely_says_what_to_do(self) -> None:
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"x": rng.normal(size=200)})
        backend = SdvBackend(**SMALL).fit(df, Metadata.of({"continuous": ["x"]}), seed=1)
        with pytest.raises(ConditionError, match=r"0 of the 1 rows wanted.*backend='native'"):
            rows_of(backend, 1, seed=1, conditions={"x": 0.123456789})

    def test_decoding_that_does_not_exist_is_refused(self, fitted: SdvBackend) -> None:
        with refuses(ConfigError, "decode"):
            rows_of(fitted, 3, decode="cautious")


class TestParameters:
    def test_defaults_are_those_of_sdv(self) -> None:
        import inspect

        from sdv.single_table import TVAESynthesizer as SdvSynthesizer

        theirs = {name: p.default for name, p in inspect.signature(SdvSynthesizer).parameters.items()}
        ours = {{"weight_decay": "l2scale"}.get(name, name): value for name, value in SDV_DEFAULTS.items()}
        assert ours.items() <= theirs.items()
        assert theirs.keys() - ours.keys() == {"metadata", "verbose", "enable_gpu"}

    def test_every_parameter_reaches_sdv(self) -> None:
        df = pd.DataFrame({"x": np.arange(60.0), "k": ["a", "b"] * 30})
        given = {
            "epochs": 1,
            "batch_size": 50,
            "compress_dims": [np.int64(8), 9],
            "decompress_dims": (10,),
            "embedding_dim": 3,
            "weight_decay": 0.5,
            "loss_factor": 7,
            "enforce_min_max_values": False,
            "enforce_rounding": False,
        }
        backend = SdvBackend(**given).fit(df, Metadata.of({"continuous": ["x"], "categorical": ["k"]}), seed=1)
        guards = {"min_count": 5, "exact_values": False}
        assert backend.parameters == {**given, **guards, "compress_dims": [8, 9], "decompress_dims": [10]}
        expected = {("l2scale" if name == "weight_decay" else name): value for name, value in given.items()}
        assert backend._synthesizer.get_parameters() == {
            **expected,
            "compress_dims": (8, 9),
            "decompress_dims": (10,),
            "verbose": False,
            "enable_gpu": False,
        }

    def test_all_wrong_parameters_are_told_at_once(self) -> None:
        with pytest.raises(ConfigError) as caught:
            make_backend(
                "sdv",
                epochs=0,
                batch_size=1.5,
                compress_dims=(),
                decompress_dims=8,
                embedding_dim=True,
                weight_decay=-1,
                loss_factor=math.inf,
                enforce_rounding="yes",
                learning_rate=0.1,
                patience=3,
                decoder="independent",
                epoch=3,
            )
        places = [problem.where for problem in caught.value.problems]
        assert places == [
            "epochs", "batch_size", "compress_dims", "decompress_dims", "embedding_dim", "weight_decay", "loss_factor",
            "enforce_rounding", "learning_rate", "patience", "decoder", "epoch",
        ]  # fmt: skip
        assert "did you mean 'epochs'" in str(caught.value)

    def test_parameters_of_the_native_engine_may_be_none(self) -> None:
        assert make_backend("sdv", learning_rate=None, max_minutes=None, decoder=None).name == "sdv"

    def test_discriminator_steps_are_warned_about_and_dropped(self) -> None:
        with pytest.warns(UserWarning, match="no discriminator"):
            backend = SdvBackend(discriminator_steps=1)
        assert "discriminator_steps" not in backend.parameters

    def test_a_device_that_is_not_there_is_refused(self) -> None:
        with refuses(ConfigError, "device"):
            SdvBackend(device="abacus")

    def test_an_unknown_backend_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'native'"):
            make_backend("natve")
        assert set(BACKENDS) == {"native", "sdv"}


class TestHistory:
    def test_one_row_an_epoch_with_the_mean_loss(self, fitted: SdvBackend) -> None:
        history = fitted.history
        assert [row["epoch"] for row in history] == [1, 2]
        values = fitted._synthesizer.get_loss_values()
        assert history[0]["loss"] == pytest.approx(values[values["Epoch"] == 0]["Loss"].mean())
        others = {"seconds", "reconstruction", "kl", "validation_loss", "validation_reconstruction", "validation_kl"}
        assert set(history[0]) == {"epoch", "loss", *others}
        assert all(math.isnan(history[0][name]) for name in others)

    def test_a_sigma_for_every_number(self, fitted: SdvBackend) -> None:
        sigmas = fitted.sigmas()
        assert set(sigmas) == {"age", "salary", "score", "rate", "hired", "left"}
        assert all(len(values) == 1 and 0.01 <= values[0] <= 1 for values in sigmas.values())

    def test_nothing_is_known_before_fit(self) -> None:
        backend = SdvBackend(**SMALL)
        assert backend.history == []
        for ask in (backend.sigmas, backend.state, lambda: rows_of(backend, 1)):
            with pytest.raises(NotFittedError):
                ask()

    @pytest.mark.long
    def test_what_sdv_cannot_do_says_who_can(self, fitted: SdvBackend) -> None:
        assert not isinstance(fitted, ReadsRows)


class TestState:
    def test_a_loaded_generator_draws_the_same_rows(self, fitted: SdvBackend) -> None:
        loaded = load_backend(fitted.state(), trust_pickle=True)
        pd.testing.assert_frame_equal(rows_of(loaded, 100, seed=3), rows_of(fitted, 100, seed=3))
        assert loaded.parameters == fitted.parameters
        assert [row["loss"] for row in loaded.history] == [row["loss"] for row in fitted.history]
        assert loaded.sigmas() == fitted.sigmas()
        assert loaded.facts == fitted.facts

    def test_the_pickle_is_not_opened_without_trust(self, fitted: SdvBackend, tmp_path: Path) -> None:
        marker = tmp_path / "marker"
        parts = {**fitted.state(), "weights": f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()}
        with pytest.raises(UnsafeArtifactError, match="trust_pickle=True"):
            load_backend(parts)
        assert not marker.exists()

    @pytest.mark.parametrize(
        ("part", "change"),
        [
            ("weights", lambda weights: weights[:100]),
            ("weights", lambda weights: b"\x80\x05K\x01."),
            ("training", lambda training: {**training, "parameters": {}}),
            ("training", lambda training: {**training, "parameters": {"epochs": -1}}),
            ("training", lambda training: {**training, "losses": None}),
            ("training", lambda training: {}),
            ("transforms", lambda plain: {**plain, "columns": plain["columns"][:-1]}),
            ("transforms", lambda plain: without_last_column(plain)),
            ("transforms", lambda plain: {**plain, "names": plain["order"]}),
            ("transforms", lambda plain: 5),
            ("transforms", lambda plain: {**plain, "columns": [{"kind": "abacus"}]}),
            ("transforms", lambda plain: {**plain, "extra": 1}),
            ("model", lambda model: {"backend": "sdv"}),
            ("model", lambda model: {"backend": "abacus"}),
            ("model", lambda model: None),
        ],
    )
    def test_changed_parts_are_refused(self, fitted: SdvBackend, part: str, change) -> None:
        parts = fitted.state()
        whole = parts["training"]["parameters"] == fitted.parameters
        parts[part] = change(parts[part])
        if part == "training" and parts[part].get("parameters") == {}:
            # Defaults for all parameters are a valid generator: only the facts of the fit would differ.
            assert load_backend(parts, trust_pickle=True).history
            return
        with pytest.raises(CorruptArtifactError):
            load_backend(parts, trust_pickle=True)
        assert whole

    def test_no_cell_of_the_table_is_in_the_generator(self) -> None:
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"x": rng.normal(size=300), "k": rng.choice(["a", "b"], 300)})
        metadata = Metadata.of({"continuous": ["x"], "categorical": ["k"]})
        state = SdvBackend(**SMALL).fit(df, metadata, seed=1).state()
        inner = df["x"].sort_values().iloc[1:-1]
        assert not [
            x for x in inner if np.float64(x).tobytes() in state["weights"] or repr(x).encode() in state["weights"]
        ]

    def test_the_generator_travels_in_a_generator_file(self, few: pd.DataFrame, tmp_path: Path) -> None:
        path = tmp_path / "staff.pkl"
        synth = TVAESynthesizer(few, FEW, 5, path, backend="sdv", verbose=False, **SMALL).fit()
        with pytest.raises(UnsafeArtifactError):
            TVAESynthesizer.load(path)
        loaded = TVAESynthesizer.load(path, trust_pickle=True)
        pd.testing.assert_frame_equal(loaded.sample(20, random_state=1), synth.sample(20, random_state=1))
        assert loaded.card()["backend"] == "sdv"
        assert list(loaded.history["epoch"]) == [1, 2]


class TestSilence:
    def test_nothing_is_shown_or_logged(
        self, table: pd.DataFrame, capfd: pytest.CaptureFixture, tmp_path: Path
    ) -> None:
        stream = tmp_path / "log"
        handler = logging.FileHandler(stream)
        root = logging.getLogger()
        root.addHandler(handler)
        level, directory = root.level, Path.cwd()
        root.setLevel(logging.DEBUG)
        os.chdir(tmp_path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                backend = SdvBackend(**{**SMALL, "epochs": 1}).fit(table, METADATA, seed=1)
                rows_of(backend, 5, seed=1, conditions={"gender": "F"})
        finally:
            os.chdir(directory)
            root.setLevel(level)
            root.removeHandler(handler)
            handler.close()
        assert capfd.readouterr() == ("", "")
        assert "E-00001" not in stream.read_text()
        assert [path.name for path in tmp_path.iterdir()] == ["log"]

    def test_the_progress_bar_shows_if_asked_for(self, few: pd.DataFrame, capfd: pytest.CaptureFixture) -> None:
        SdvBackend(**{**SMALL, "epochs": 1}).fit(few, FEW, seed=1, verbose=True)
        shown = capfd.readouterr()
        assert shown.out == ""
        assert "Loss" in shown.err

    def test_loggers_are_as_they_were(self) -> None:
        logger = logging.getLogger("some.library")
        handler = logging.NullHandler()
        logger.addHandler(handler)
        with quiet(["some.library"]):
            assert logger.handlers != [handler]
        assert logger.handlers == [handler]
        assert logger.propagate

    def test_an_error_of_sdv_does_not_quote_the_table(self) -> None:
        df = pd.DataFrame({"x": [1e300, -1e300, 3.0] * 20, "k": [CANARY, "b", "c"] * 20})
        backend = SdvBackend(**SMALL)
        with pytest.raises(TrainingError, match=r"raised \w+ .*backend='native'") as caught:
            backend.fit(df, Metadata.of({"continuous": ["x"], "categorical": ["k"]}), seed=1)
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    def test_all_columns_that_cannot_be_learnt_are_named(self) -> None:
        df = pd.DataFrame(
            {"x": ["a", CANARY] * 30, "name": [f"{CANARY}-{i}" for i in range(60)], "day": ["1/1/2020"] * 60}
        )
        metadata = Metadata.of({"continuous": ["x"], "categorical": ["name"], "datetime": ["day"]})
        with pytest.raises(DataError) as caught:
            SdvBackend(**SMALL).fit(df, metadata, seed=1)
        assert [problem.kind for problem in caught.value.problems] == [
            ColumnTypeError,
            IdentifierColumnError,
            ColumnTypeError,
        ]
        assert CANARY not in str(caught.value)


class TestWithoutSdv:
    def test_a_missing_package_gives_the_line_that_installs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in {"sdv", *(name for name in sys.modules if name.startswith("sdv."))}:
            monkeypatch.setitem(sys.modules, name, None)  # an import of it is now an ImportError
        monkeypatch.delitem(sys.modules, "clover_tvae.backends.sdv")
        with pytest.raises(MissingExtraError, match="pip install 'sdv>=2'"):
            make_backend("sdv")


@st.composite
def frames(draw: st.DrawFn) -> tuple[pd.DataFrame, Metadata]:
    """Tables of one column a kind, with any cells that are allowed, missing ones among them."""
    n = draw(st.integers(2, 30))
    whole = draw(st.lists(st.none() | st.integers(-(2**52), 2**52), min_size=n, max_size=n))
    real = draw(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=n, max_size=n))
    label = draw(
        st.lists(st.none() | st.sampled_from(["a", "", "nan", "=1", "é", 1, 1.0, True]), min_size=n, max_size=n)
    )
    day = draw(st.lists(st.none() | st.dates(), min_size=n, max_size=n))
    df = pd.DataFrame(
        {
            "whole": pd.array(whole, dtype="Int64"),
            7: np.array([np.nan if x is None else x for x in real]),
            "label": pd.Series(label, dtype=object),
            "day": pd.Series(day, dtype=object),
        }
    )
    return df, Metadata.of({"continuous": ["whole", 7], "categorical": ["label"], "datetime": ["day"]})


def flat_table(df: pd.DataFrame, metadata: Metadata) -> tuple[TableTransform, pd.DataFrame]:
    """What SDV is given of a table; the transform as a file would hold it."""
    rng = np.random.default_rng(0)
    table = TableTransform.from_plain(TableTransform.fit(df, metadata, numbers="raw", rng=rng).to_plain())
    return table, flattened(table, table.encode(df, rng))


class TestFlatTable:
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(frames())
    def test_what_is_flattened_comes_back(self, case: tuple[pd.DataFrame, Metadata]) -> None:
        df, metadata = case
        table, flat = flat_table(df, metadata)
        assert {dtype.kind for dtype in flat.dtypes} <= set("ifO")
        pd.testing.assert_frame_equal(table.decode(encoded(table, flat)), df)

    def test_labels_say_nothing_of_the_cells(self, table: pd.DataFrame) -> None:
        transform, flat = flat_table(table, METADATA)
        labels = {cell for name in flat if flat[name].dtype == object for cell in flat[name]}
        assert labels <= {f"c{i}" for i in range(10)}
        assert list(flat) == [f"column_{i}" for i in range(10)]
        assert transform.names[0] == "age"

    def test_numbers_out_of_range_are_put_back_into_it(self) -> None:
        df = load_wine(as_frame=True).data[["alcohol", "proline"]]
        table, flat = flat_table(df, Metadata.of({"continuous": list(df)}))
        far = table.decode(encoded(table, flat * 100 - 1000))
        assert far["alcohol"].between(df["alcohol"].min(), df["alcohol"].max()).all()

    def test_a_generator_of_version_0_1_0_is_read(self, fitted: SdvBackend) -> None:
        parts = fitted.state()
        new = parts["transforms"]
        columns = []
        for column in new["columns"]:
            old = {"kind": column["kind"], **column["column"]}
            if "codec" in old:
                old["codec"] = {key: old["codec"][key] for key in ("grid", "missing")}
            columns.append(old)
        parts["transforms"] = {"columns": columns, "identifiers": new["identifiers"], "names": new["order"]}
        loaded = load_backend(parts, trust_pickle=True)
        pd.testing.assert_frame_equal(rows_of(loaded, 100, seed=3), rows_of(fitted, 100, seed=3))


@pytest.mark.parametrize("left_out", [{"id": ["number"]}, {"ignore": ["number"]}])
def test_the_columns_that_version_1_left_out_are_read_from_its_metadata(left_out):
    df = pd.DataFrame({"number": [f"E-{i}" for i in range(60)], "sex": ["F", "M"] * 30, "age": np.arange(60) % 40})
    metadata = Metadata.of({"categorical": ["sex"], "continuous": ["age"], **left_out})
    table = TableTransform.fit(df, metadata, numbers="raw", rng=np.random.default_rng(1))
    plain = table.to_plain()
    columns = [{"kind": part["kind"], **part["column"]} for part in plain["columns"]]
    old = {"names": plain["order"], "identifiers": plain["identifiers"], "columns": columns}
    again = table_from_plain(old, metadata.to_dict())
    assert again.left_out == table.left_out
    assert flat_names(again) == flat_names(table)
