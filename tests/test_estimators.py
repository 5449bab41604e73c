"""The synthesizer as scikit-learn knows estimators, the sampler of imbalanced-learn's pipelines, and the imputer."""

from __future__ import annotations

import pickle
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_people, refuses
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from imblearn.utils import estimator_checks
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.errors import CloverWarning, ConditionError, ConfigError, DataError
from clover_tvae.estimators import NOT_AS_SKLEARN, TVAEImputer, TVAESampler

QUICK: dict[str, Any] = {
    "epochs": 1, "decoder": "independent", "compress_dims": (8,), "decompress_dims": (8,), "embedding_dim": 4,
    "random_state": 0, "verbose": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return make_people(120)[["age", "bmi", "sex"]].fillna({"bmi": 25.0})


@pytest.fixture(scope="module")
def classes(people: pd.DataFrame) -> pd.Series:
    return pd.Series(np.where(np.arange(len(people)) % 5 == 0, "ill", "well"), name="state")


@pytest.fixture(scope="module")
def gaps(people: pd.DataFrame) -> pd.DataFrame:
    gaps = people.copy()
    gaps.loc[gaps.index[::4], "bmi"] = np.nan
    gaps.loc[gaps.index[::7], "sex"] = None
    return gaps


def quick(**more: Any) -> TVAESynthesizer:
    return TVAESynthesizer(**{**QUICK, **more})


@pytest.mark.long
@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (quick(), NOT_AS_SKLEARN),
        (TVAEImputer(synthesizer=quick()), {}),
        (TVAESampler(synthesizer=quick()), {}),
    ],
    ids=["synthesizer", "imputer", "sampler"],
)
def test_the_checks_of_scikit_learn_pass_but_for_those_named_with_their_reason(
    estimator: Any, expected: dict[str, str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, expected_failed_checks={**expected}, on_skip=None, on_fail=None)
    failed = {result["check_name"]: result for result in results if result["status"] in ("failed", "xfail")}
    assert set(failed) == set(expected), failed
    assert len(results) >= 40
    assert all(len(reason) > 40 for reason in expected.values())


class TestSynthesizer:
    def test_the_constructor_takes_parameters_and_fit_the_table(self, people: pd.DataFrame) -> None:
        synth = TVAESynthesizer(epochs=1, decoder="independent", verbose=False)
        assert isinstance(synth, BaseEstimator)
        assert not hasattr(synth, "n_features_in_")
        rows = synth.fit(people).sample(100)
        assert rows.shape == (100, 3)
        check_is_fitted(synth)
        assert set(synth.feature_names_in_) == set(people)
        assert synth.n_features_in_ == 3
        assert synth.metadata_ == synth.metadata
        assert len(synth.history_) == 1

    def test_the_old_call_stays(self, people: pd.DataFrame) -> None:
        metadata = {"continuous": ["age", "bmi"], "categorical": ["sex"]}
        options = {name: value for name, value in QUICK.items() if name != "random_state"}
        old = TVAESynthesizer(people, metadata, 3, None, **options).fit()
        new = quick(metadata=metadata, random_state=3).fit(people)
        pd.testing.assert_frame_equal(old.sample(20), new.sample(20))

    def test_a_clone_carries_parameters_and_metadata_but_not_the_frame(self, people: pd.DataFrame) -> None:
        metadata = Metadata.infer(people)
        marked = people.assign(sex=people["sex"].replace("F", "canary-of-the-frame"))
        other = clone(TVAESynthesizer(marked, metadata, **QUICK))
        assert other.get_params()["metadata"] == metadata
        assert other.get_params()["epochs"] == 1
        assert other.table is None
        assert b"canary-of-the-frame" not in pickle.dumps(other)

    def test_an_array_has_the_names_that_scikit_learn_gives(self) -> None:
        synth = quick().fit(np.random.default_rng(0).normal(size=(60, 2)).round(1))
        assert list(synth.sample(3)) == list(synth.feature_names_in_) == ["x0", "x1"]

    def test_a_notebook_shows_what_was_learnt(self, people: pd.DataFrame) -> None:
        shown = quick().fit(people)._repr_mimebundle_()
        assert '<th scope="row">sha256</th>' in shown["text/html"]
        assert "learnt 120 rows" in shown["text/plain"]
        assert "TVAESynthesizer" in make_pipeline(quick())._repr_html_()


class TestSampler:
    @pytest.mark.parametrize(
        ("strategy", "ill"),
        [("auto", 96), ("not majority", 96), ("minority", 96), (0.5, 48), ({"ill": 30}, 30), ({}, 24)],
    )
    def test_it_adds_rows_of_the_rare_class(
        self, people: pd.DataFrame, classes: pd.Series, strategy: Any, ill: int
    ) -> None:
        sampler = TVAESampler(strategy, 1, quick())
        X, y = sampler.fit_resample(people, classes)
        assert y.value_counts().to_dict() == {"well": 96, "ill": ill}
        pd.testing.assert_frame_equal(X.iloc[: len(people)], people.reset_index(drop=True))
        assert (y.name, list(X), X.dtypes.to_dict()) == ("state", list(people), people.dtypes.to_dict())
        assert sum(sampler.sampling_strategy_.values()) == len(X) - len(people)

    @pytest.mark.long
    def test_a_pipeline_of_imbalanced_learn_searches_over_it(self, people: pd.DataFrame, classes: pd.Series) -> None:
        pipeline = make_sampling_pipeline(
            TVAESampler(random_state=1, synthesizer=quick()),
            make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough"),
            LogisticRegression(max_iter=1000),
        )
        search = GridSearchCV(pipeline, {"tvaesampler__synthesizer__epochs": [1, 2]}, cv=2, error_score="raise")
        assert set(search.fit(people, classes).predict(people)) <= {"ill", "well"}
        assert pipeline[0].synthesizer.get_params()["epochs"] == 1

    @pytest.mark.long
    @pytest.mark.parametrize(
        "check",
        [
            "check_samplers_2d_target", "check_samplers_fit", "check_samplers_fit_resample", "check_samplers_list",
            "check_samplers_nan", "check_samplers_one_label", "check_samplers_pandas", "check_samplers_preserve_dtype",
            "check_samplers_sampling_strategy_fit_resample", "check_samplers_string",
        ],
    )  # fmt: skip
    @pytest.mark.filterwarnings("ignore")
    def test_it_passes_the_checks_of_imbalanced_learn(self, check: str) -> None:
        getattr(estimator_checks, check)("TVAESampler", TVAESampler(synthesizer=quick()))

    def test_arrays_come_back_as_arrays(self) -> None:
        X, y = np.random.default_rng(0).normal(size=(60, 2)).round(1), np.repeat([0, 1], [45, 15])
        more, labels = TVAESampler(synthesizer=quick()).fit_resample(X, y)
        assert isinstance(more, np.ndarray)
        assert more.shape == (90, 2)
        assert np.bincount(labels).tolist() == [45, 45]

    def test_a_class_of_few_people_is_refused_in_plain_words(self, people: pd.DataFrame) -> None:
        few = pd.Series(["rare"] * 3 + ["often"] * (len(people) - 3), name="state")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CloverWarning)
            with pytest.raises(
                ConditionError, match=r"at least 5 rows of each category.*so few people cannot be copied"
            ):
                TVAESampler(synthesizer=quick()).fit_resample(people, few)

    def test_what_it_cannot_do_is_told(self, people: pd.DataFrame, classes: pd.Series) -> None:
        for strategy in ("majority", 1.5, 0, None, {"ill": 0.5}):
            with refuses(ConfigError, "sampling_strategy"):
                TVAESampler(strategy, synthesizer=quick()).fit(people, classes)
        with refuses(ConfigError, "strategy"):
            TVAESampler({"well": 10}, synthesizer=quick()).fit_resample(people, classes)
        with refuses(ConfigError, "y"):
            TVAESampler(synthesizer=quick()).fit(people, classes.rename("age"))
        numbered = people.assign(no=[f"P{i}" for i in range(len(people))])
        described = {"continuous": ["age", "bmi"], "categorical": ["sex", "state"], "ignore": ["no"]}
        with refuses(DataError, "column 'no'"):
            TVAESampler(synthesizer=quick(metadata=described)).fit_resample(numbered, classes)


class TestImputer:
    @pytest.mark.long
    def test_it_stands_before_a_classifier_in_a_pipeline(self, gaps: pd.DataFrame) -> None:
        ill = np.arange(len(gaps)) % 2
        encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["sex"]), remainder="passthrough")
        pipeline = make_pipeline(TVAEImputer(1, quick()), encoder, LogisticRegression(max_iter=1000))
        assert set(pipeline.fit(gaps, ill).predict(gaps)) <= {0, 1}
        again = clone(pipeline).fit(gaps, ill)
        np.testing.assert_array_equal(again.predict_proba(gaps), pipeline.predict_proba(gaps))

    def test_it_fills_the_gaps_and_nothing_else(self, gaps: pd.DataFrame) -> None:
        imputer = TVAEImputer(1, quick()).fit(gaps)
        filled = imputer.transform(gaps)
        assert not filled.isna().any().any()
        known = gaps.notna()
        pd.testing.assert_frame_equal(filled.where(known), gaps.where(known))
        pd.testing.assert_frame_equal(imputer.transform(gaps), filled)
        assert list(imputer.get_feature_names_out()) == list(gaps)

    def test_its_output_is_what_set_output_asks_for(self) -> None:
        X = np.random.default_rng(0).normal(size=(60, 2)).round(1)
        X[::4, 0] = np.nan
        imputer = TVAEImputer(1, quick()).fit(X)
        assert isinstance(imputer.transform(X), np.ndarray)
        assert not np.isnan(imputer.transform(X[:1])).any()
        assert list(imputer.set_output(transform="pandas").transform(X)) == ["x0", "x1"]


@pytest.mark.parametrize("metadata", [None, {"continuous": ["age"], "categorical": ["target"]}])
def test_a_sampler_refuses_what_synthetic_rows_would_lack_before_it_learns(metadata, monkeypatch) -> None:
    """An identifier, and a column that the metadata leaves out."""
    monkeypatch.setattr(TVAESynthesizer, "fit", lambda *_: pytest.fail("it learnt first"))
    X = pd.DataFrame({"age": [*range(20, 45)] * 2, "employee_id": [f"E-{i:06}" for i in range(50)]})
    sampler = TVAESampler(synthesizer=TVAESynthesizer(metadata=metadata, epochs=1, verbose=False))
    told = pytest.warns() if metadata is None else nullcontext()
    with told, pytest.raises(DataError, match="column 'employee_id': synthetic rows lack it"):
        sampler.fit_resample(X, ["ill"] * 10 + ["well"] * 40)
