"""Clover's generator: signature, life cycle and file names, as Clover's searches use them."""

from __future__ import annotations

import datetime
import inspect
import logging
import pickle
import random
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import needs_sdv, refuses
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

from clover_tvae import TVAESynthesizer
from clover_tvae.clover import Summary, TVAEGenerator
from clover_tvae.errors import CloverWarning, ConfigError, MetadataError, NotFittedError, UnsafeArtifactError

pytestmark = pytest.mark.long

QUICK = {"epochs": 2, "batch_size": 100, "compress_dims": (16, 16), "decompress_dims": (16, 16)}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    bunch = load_breast_cancer(as_frame=True)
    df = bunch.data.iloc[:, :3].rename(columns=lambda name: name.replace(" ", "_"))
    return df.assign(diagnosis=bunch.target.map({0: "malignant", 1: "benign"}))


METADATA = {
    "continuous": ["mean_radius", "mean_texture", "mean_perimeter"],
    "categorical": ["diagnosis"],
    "variable_to_predict": "diagnosis",
}


def today() -> str:
    return datetime.date.today().isoformat()


class TestSignature:
    def test_positional_arguments_are_clover_s(self) -> None:
        parameters = inspect.signature(TVAEGenerator).parameters.values()
        positional = [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == [
            ("df", inspect.Parameter.empty),
            ("metadata", inspect.Parameter.empty),
            ("random_state", None),
            ("generator_filepath", None),
            ("epochs", 300),
            ("batch_size", 100),
            ("max_physical_batch_size", 125),
            ("compress_dims", (249, 249)),
            ("decompress_dims", (249, 249)),
            ("epsilon", None),
            ("delta", None),
            ("max_grad_norm", 1.0),
            ("preprocess_metadata", None),
        ]
        assert inspect.getfullargspec(TVAEGenerator).args[1:] == [name for name, _ in positional]

    @pytest.mark.parametrize(
        "after_batch_size",
        [
            ((16, 8), (8, 16)),
            ([16, 8], [8, 16]),
            ((16, 8), (8, 16), 1),
            (126, (16, 8), (8, 16)),
            (np.int64(126), (16, 8), (8, 16), None, None, None, None),
        ],
        ids=["older", "older, lists", "older, with discriminator_steps", "today", "today, to the end"],
    )
    @pytest.mark.filterwarnings("ignore:discriminator_steps")
    def test_both_orders_are_told_apart(self, patients: pd.DataFrame, after_batch_size: tuple) -> None:
        given = TVAEGenerator(patients, METADATA, 1, None, 2, 100, *after_batch_size).synthesizer.given
        assert (given["compress_dims"], given["decompress_dims"]) == ((16, 8), (8, 16))
        assert (given["epochs"], given["batch_size"]) == (2, 100)

    @pytest.mark.parametrize(
        ("after_batch_size", "by_keyword"),
        [
            ((None, (16, 8)), {}),
            (("16", (16, 8)), {}),
            ((1.5,), {}),
            (((16, 8), (8, 16), 1, None), {}),
            (((16, 8),), {"compress_dims": (8, 8)}),
            ((128, 128), {}),
            ((126, 126, (16, 8)), {}),
            ((True, (16, 8), (8, 16)), {}),
            ((0,), {}),
        ],
    )
    def test_what_could_be_either_order_is_refused(
        self, patients: pd.DataFrame, after_batch_size: tuple, by_keyword: dict
    ) -> None:
        with pytest.raises(ConfigError):
            TVAEGenerator(patients, METADATA, 1, None, 2, 100, *after_batch_size, **by_keyword)

    def test_the_older_order_goes_on_by_keyword(self, patients: pd.DataFrame) -> None:
        given = TVAEGenerator(patients, METADATA, 1, None, 2, 100, (16, 8), decompress_dims=(8, 16)).synthesizer.given
        assert (given["compress_dims"], given["decompress_dims"]) == ((16, 8), (8, 16))

    @pytest.mark.parametrize("epsilon", [1, 0, 0.5, {"preprocessing": 0.1, "fitting": 0.9}])
    def test_a_privacy_budget_is_refused_and_never_ignored(self, patients: pd.DataFrame, epsilon: object) -> None:
        with refuses(ConfigError, "epsilon"):
            TVAEGenerator(patients, METADATA, epsilon=epsilon, delta=1e-9)
        with pytest.raises(ConfigError, match="no differential privacy here yet"):
            TVAEGenerator(patients, METADATA, 1, None, 2, 100, 126, (16, 8), (8, 16), epsilon, 1e-9, 1.0, None)
        with refuses(ConfigError, "delta"):
            TVAEGenerator(patients, METADATA, delta=1e-9)

    def test_ranges_for_a_budget_are_dropped_with_a_warning(self, patients: pd.DataFrame) -> None:
        with pytest.warns(CloverWarning, match="preprocess_metadata is dropped"):
            TVAEGenerator(patients, METADATA, preprocess_metadata={"mean_radius": {"min": 0, "max": 40}})

    def test_methods_are_clover_s(self) -> None:
        assert list(inspect.signature(TVAEGenerator.preprocess).parameters) == ["self"]
        assert list(inspect.signature(TVAEGenerator.fit).parameters) == ["self", "save_path"]
        assert list(inspect.signature(TVAEGenerator.display).parameters) == ["self"]
        sample = inspect.signature(TVAEGenerator.sample).parameters
        assert list(sample) == ["self", "save_path", "num_samples"]
        assert sample["num_samples"].default == 1

    def test_discriminator_steps_are_warned_about_and_dropped(self, patients: pd.DataFrame) -> None:
        with pytest.warns(UserWarning, match="no discriminator") as caught:
            TVAEGenerator(patients, METADATA, discriminator_steps=1)
        assert len(caught) == 1


class TestLifeCycle:
    def test_it_goes_through_the_life_cycle_of_clover_s_generator_test(
        self, patients: pd.DataFrame, tmp_path: Path
    ) -> None:
        # All generators are made there alike: the arguments that the constructor names, in its own order.
        known: dict[str, object] = {
            "df": patients, "metadata": METADATA, "random_state": 0, "generator_filepath": None,
            "epochs": 2, "batch_size": 100, "max_physical_batch_size": 126, "compress_dims": (16, 8), "decompress_dims": (8, 16),
            "epsilon": None, "delta": None, "max_grad_norm": None, "preprocess_metadata": None,
        }  # fmt: skip
        generator = TVAEGenerator(*[known[name] for name in inspect.getfullargspec(TVAEGenerator).args[1:]])
        assert generator.synthesizer.given["compress_dims"] == (16, 8)
        generator.preprocess()
        generator.fit(save_path=tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        rows = generator.sample(save_path=tmp_path, num_samples=len(patients))
        assert len(list(tmp_path.iterdir())) == 2
        assert rows.shape == patients.shape
        assert set(rows.columns) == set(patients.columns)

    def test_a_search_asks_for_the_names_and_cross_validates(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        grid = [{"epochs": 1, "batch_size": 100, "compress_dims": widths} for widths in ((8, 8), (16, 16))]
        assert set(grid[0]) <= set(inspect.signature(TVAEGenerator).parameters)
        costs = {}
        for params in grid:
            folds = StratifiedKFold(2, shuffle=True, random_state=0).split(patients, patients["diagnosis"])
            for train, test in folds:
                generator = TVAEGenerator(df=patients.iloc[train], metadata=METADATA, **params)
                generator.preprocess()
                generator.fit(save_path=str(tmp_path))
                for part in (train, test):
                    rows = generator.sample(save_path=str(tmp_path), num_samples=len(part))
                    assert rows.shape == (len(part), 4)
                cost = abs(rows["mean_radius"].mean() - patients["mean_radius"].iloc[test].mean())
                costs.setdefault(params["compress_dims"], []).append(cost)
        assert min(costs, key=lambda widths: np.mean(costs[widths])) in ((8, 8), (16, 16))

    def test_a_search_drives_it_as_it_drives_clover_s_own(self, patients: pd.DataFrame) -> None:
        costs = []
        for params in ({**QUICK}, {**QUICK, "compress_dims": (8, 8)}):
            generator = TVAEGenerator(df=patients, metadata=METADATA, random_state=1, **params)
            generator.preprocess()
            with tempfile.TemporaryDirectory() as folder:
                generator.fit(save_path=folder)
                rows = generator.sample(save_path=folder, num_samples=len(patients))
            assert rows.shape == patients.shape
            costs.append(abs(rows["mean_radius"].mean() - patients["mean_radius"].mean()))
        assert costs[0] != costs[1]

    def test_files_are_named_as_clover_names_them(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        generator = TVAEGenerator(patients, METADATA, 1, None, 2, 100, (16, 16), (16, 16))
        generator.preprocess()
        before = today()
        assert generator.fit(str(tmp_path)) is None
        rows = generator.sample(tmp_path, 7)
        names = {path.name for path in tmp_path.iterdir()}
        # A test that runs over midnight may see either day.
        assert {name.replace(before, "D").replace(today(), "D") for name in names} == {
            "D_TVAE.pkl",
            "D_TVAE_7samples.csv",
        }
        written = pd.read_csv(next(tmp_path.glob("*_TVAE_7samples.csv")))
        pd.testing.assert_frame_equal(written, rows)

    def test_a_pickle_of_it_holds_no_table_before_and_after_a_fit(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        generator = TVAEGenerator(patients, METADATA, 1, **QUICK)
        radius = patients["mean_radius"].to_numpy()
        assert radius.tobytes() not in pickle.dumps(generator)
        generator.fit(tmp_path)
        assert radius.tobytes() not in pickle.dumps(generator)

    def test_num_samples_counts_rows(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        generator = TVAEGenerator(patients, METADATA, 1, **QUICK)
        generator.fit(tmp_path)
        assert len(generator.sample(tmp_path)) == 1
        assert len(generator.sample(tmp_path, num_samples=30)) == 30

    def test_an_existing_generator_is_sampled_from_without_table_or_training(
        self, patients: pd.DataFrame, tmp_path: Path
    ) -> None:
        first = TVAEGenerator(patients, METADATA, 1, **QUICK)
        first.fit(tmp_path)
        path = next(tmp_path.glob("*_TVAE.pkl"))
        second = TVAEGenerator(None, None, generator_filepath=path)
        second.preprocess()
        rows = second.sample(tmp_path, 5)
        assert list(rows.columns) == list(patients.columns)
        assert isinstance(second.synthesizer, TVAESynthesizer)
        pd.testing.assert_frame_equal(
            second.synthesizer.sample(9, random_state=3), first.synthesizer.sample(9, random_state=3)
        )

    def test_a_generator_that_does_not_exist_yet_is_written_there_too(
        self, patients: pd.DataFrame, tmp_path: Path
    ) -> None:
        path = tmp_path / "mine.pkl"
        TVAEGenerator(patients, METADATA, 1, path, **QUICK).fit(tmp_path)
        assert path.exists()
        assert len(list(tmp_path.glob("*_TVAE.pkl"))) == 1

    def test_a_seed_fixes_the_rows_and_leaves_the_global_generators_alone(
        self, patients: pd.DataFrame, tmp_path: Path
    ) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist()
        rows = []
        for _ in range(2):
            generator = TVAEGenerator(patients, METADATA, 5, **QUICK)
            generator.fit(tmp_path)
            rows.append(generator.sample(tmp_path, 20))
        pd.testing.assert_frame_equal(*rows)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before

    @needs_sdv
    def test_both_decoders_and_sdv_s_own_engine_stand_behind_it(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        engines = {}
        for name, options in {
            "independent": {},
            "autoregressive": {"decoder": "autoregressive"},
            "sdv": {"backend": "sdv"},
        }.items():
            generator = TVAEGenerator(patients, METADATA, 5, **QUICK, **options)
            generator.fit(tmp_path)
            engines[name] = generator.sample(tmp_path, 20)
            assert engines[name].dtypes.to_dict() == patients.dtypes.to_dict()
            assert name in repr(generator)
        with pytest.raises(UnsafeArtifactError):
            TVAEGenerator(None, None, generator_filepath=next(tmp_path.glob("*_TVAE.pkl")))


class TestErrors:
    def test_preprocess_tells_all_that_is_wrong_with_the_table(self, patients: pd.DataFrame) -> None:
        generator = TVAEGenerator(patients.drop(columns="mean_radius").assign(extra=1), METADATA)
        with pytest.raises(Exception, match="mean_radius") as caught:
            generator.preprocess()
        assert "extra" in str(caught.value)

    def test_a_folder_that_is_not_there_is_told_before_training(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        generator = TVAEGenerator(patients, METADATA, epochs=10_000_000)
        with refuses(ConfigError, "save_path"):
            generator.fit(tmp_path / "no" / "such")
        (tmp_path / "file").touch()
        with refuses(ConfigError, "save_path"):
            generator.sample(tmp_path / "file")

    def test_sampling_needs_a_trained_generator(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        with pytest.raises(NotFittedError):
            TVAEGenerator(patients, METADATA).sample(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_wrong_metadata_is_told_at_once(self, patients: pd.DataFrame) -> None:
        with pytest.raises(MetadataError):
            TVAEGenerator(patients, {"continuous": ["a"], "categorical": ["a"]})

    def test_an_unknown_parameter_is_refused(self, patients: pd.DataFrame) -> None:
        with pytest.raises(TypeError, match="epoch_s"):
            TVAEGenerator(patients, METADATA, epoch_s=3)


class TestDisplay:
    def test_it_tells_parameters_before_and_what_was_learnt_after(
        self, patients: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
    ) -> None:
        generator = TVAEGenerator(patients, METADATA, 1, **QUICK)
        assert "not fitted" in generator.display()
        generator.fit(tmp_path)
        with caplog.at_level(logging.INFO, logger="clover_tvae.clover"):
            shown = generator.display()
        assert "569 rows" in shown
        assert re.search(r"epochs: 2\b", shown)
        assert str(shown) in caplog.text
        assert capsys.readouterr().out == ""

    def test_a_notebook_shows_it_as_text_and_safely(self) -> None:
        summary = Summary("a <b>\nsecond line")
        assert repr(summary) == "a <b>\nsecond line"
        assert summary._repr_html_() == "<pre>a &lt;b&gt;\nsecond line</pre>"

    def test_it_warns_of_nothing_that_the_caller_did_not_say(self, patients: pd.DataFrame, tmp_path: Path) -> None:
        path = tmp_path / "g.pkl"
        TVAESynthesizer(patients, METADATA, generator_filepath=path, epochs=1, verbose=False).fit()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            TVAEGenerator(None, None, generator_filepath=path)
        with pytest.warns(UserWarning, match="other values of epochs$"):
            TVAEGenerator(None, None, generator_filepath=path, epochs=7)

    def test_its_generator_filepath_is_a_path(self, patients: pd.DataFrame) -> None:
        with refuses(ConfigError, "generator_filepath"):
            TVAEGenerator(patients, METADATA, generator_filepath=5)
