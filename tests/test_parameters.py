"""The parameters: one home of their ranges and their words, for Python, YAML, the command line and files."""

from __future__ import annotations

import inspect
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import PEOPLE
from typer.main import get_command

from clover_tvae import TVAESynthesizer
from clover_tvae.backends.sizing import plan_training
from clover_tvae.cli.app import app
from clover_tvae.errors import ConfigError
from clover_tvae.parameters import MOST_ROWS, NOT_IN_SDV, ONLY_IN_SDV, Parameters, whole_number

DESCRIPTIONS = {name: field.description for name, field in Parameters.model_fields.items()}


def problems(**given: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        Parameters.of(**given)
    return {problem.where: problem.message for problem in caught.value.problems}


def test_they_are_those_of_the_constructor() -> None:
    constructor = set(inspect.signature(TVAESynthesizer).parameters)
    assert set(Parameters.model_fields) == constructor - {
        "df", "metadata", "generator_filepath", "verbose", "expected_sha256",
    }  # fmt: skip
    assert set(NOT_IN_SDV) | set(ONLY_IN_SDV) < set(Parameters.model_fields)


def test_the_docstring_says_what_the_model_says() -> None:
    text = re.sub(r"\s+", " ", (inspect.getdoc(TVAESynthesizer) or "").replace("``", ""))
    for name, description in DESCRIPTIONS.items():
        assert f" {name}: {description} " in text, name


def test_the_command_line_says_what_the_model_says() -> None:
    fit = get_command(app).commands["fit"]  # type: ignore[attr-defined]
    params = fit.get_params(fit.context_class(fit))
    options = {option.name: option.help for option in params if option.name in DESCRIPTIONS}
    assert len(options) == 21
    for name, text in options.items():
        assert text == DESCRIPTIONS[name]


def test_the_docstring_tells_the_step_limit_that_is_trained() -> None:
    most, steps, columns = (
        int(n.replace(",", ""))
        for n in re.search(
            r"at most ([\d,]+) steps,\s+or ([\d,]+) / \(columns \+ (\d+)\)", inspect.getdoc(Parameters) or ""
        ).groups()
    )
    for n_rows, times in ((9_900, 1), (10_000, 2)):
        for n_columns in (2, 10, 100):
            training = plan_training(Parameters(), n_rows, n_columns).training
            n_steps = training.epochs * n_rows / training.batch_rows
            assert n_steps == pytest.approx(times * min(most, steps / (n_columns + columns)), rel=0.05)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"epochs": np.int32(3)}, {"epochs": 3}),
        ({"compress_dims": np.array([4, 5])}, {"compress_dims": (4, 5)}),
        ({"compress_dims": [np.int64(4), 5]}, {"compress_dims": (4, 5)}),
        ({"decompress_dims": (4,)}, {"decompress_dims": (4,)}),
        ({"learning_rate": np.float32(0.5)}, {"learning_rate": 0.5}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"random_state": np.uint64(2**64 - 1)}, {"random_state": 2**64 - 1}),
        ({"weight_decay": 0}, {"weight_decay": 0.0}),
        ({"device": "cuda:1"}, {"device": "cuda:1"}),
        ({"epochs": None}, {}),
    ],
)
def test_numbers_of_numpy_and_lists_become_plain(given: dict, kept: dict) -> None:
    found = Parameters.of(**given).given()
    assert found == kept
    assert list(map(type, found.values())) == list(map(type, kept.values()))


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 0},
        {"epochs": True},
        {"epochs": 2.0},
        {"epochs": "3"},
        {"compress_dims": [8] * 65},
        {"compress_dims": ()},
        {"compress_dims": 8},
        {"decompress_dims": [0]},
        {"decompress_dims": [16_385]},
        {"embedding_dim": 16_385},
        {"learning_rate": float("inf")},
        {"learning_rate": float("nan")},
        {"validation_fraction": 1.0},
        {"random_state": 10**23 - 1},
        {"random_state": -1},
        {"device": "gpu"},
        {"decoder": "auto"},
        {"enforce_rounding": 1, "backend": "sdv"},
        {"max_minutes": pd.DataFrame({"a": ["canary"]})},
        {"epochs": 10**5000},
        {"learning_rate": 10**5000},
        {"compress_dims": [10**5000]},
        {"backend": np.array(["native", "sdv"])},
        {"backend": pd.DataFrame({"a": ["canary"]})},
        {"discriminator_steps": -1},
    ],
)
def test_what_is_out_of_range_is_told_with_its_rule(given: dict) -> None:
    ((name, message),) = problems(**given).items()
    assert name == next(iter(given))
    assert message.startswith(f"must be {Parameters.rule(name)}, found ")
    assert "canary" not in message


def test_every_wrong_parameter_is_told_at_once_in_the_order_given() -> None:
    found = problems(patience=0, epochs=-1, epoch=3, enforce_rounding=True, decode="mode")
    assert list(found) == ["patience", "epochs", "epoch", "enforce_rounding", "decode"]
    assert "did you mean 'epochs'" in found["epoch"]


def test_discriminator_steps_are_warned_about_once_and_dropped() -> None:
    with pytest.warns(UserWarning, match="no discriminator") as caught:
        assert Parameters.of(discriminator_steps=2).given() == {}
    assert len(caught) == 1


@pytest.mark.parametrize("backend", ["native", "sdv"])
def test_a_parameter_of_the_other_backend_is_refused(backend: str) -> None:
    given = {"decoder": "independent", "patience": 1, "enforce_rounding": True}
    wrong = ["decoder", "patience"] if backend == "sdv" else ["enforce_rounding"]
    assert list(problems(backend=backend, **given)) == wrong


def test_they_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Parameters().epochs = 3  # type: ignore[misc]


def test_65_layers_are_refused_before_they_are_trained_and_cannot_be_loaded(people: pd.DataFrame) -> None:
    with pytest.raises(ConfigError) as caught:
        TVAESynthesizer(people, PEOPLE, compress_dims=[8] * 65)
    assert [problem.where for problem in caught.value.problems] == ["compress_dims"]


@pytest.mark.long
def test_what_is_announced_is_what_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"code": [f"c{i}" for i in np.arange(8_000) % 6_000], "x": rng.normal(size=8_000).round(2)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        synth = TVAESynthesizer(
            df,
            {"categorical": ["code"], "continuous": ["x"]},
            random_state=1,
            max_minutes=1e-3,
            min_count=1,
            privacy="none",
            compress_dims=(16,),
            decompress_dims=(16,),
            embedding_dim=2,
        )
        parameters = synth.fit().card()["parameters"]
    batch, epochs = re.search(r"batches of ([\d,]+) rows, at most ([\d,]+) epochs", capsys.readouterr().err).groups()
    assert (int(batch), int(epochs)) == (parameters["batch_size"], parameters["epochs"])
    assert parameters["batch_size"] < 1024


def test_rows_that_would_take_months_are_refused_at_once() -> None:
    assert whole_number(10**12, "n_rows", most=MOST_ROWS) == 10**12
    with pytest.raises(ConfigError, match="at least 0 and at most 1,000,000,000,000"):
        whole_number(10**12 + 1, "n_rows", most=MOST_ROWS)
