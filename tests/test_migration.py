"""The migration page: every block and every line of its tables runs, or is refused with what to write instead."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clover_tvae import Metadata
from clover_tvae.errors import ConditionError, ConfigError, DataError, UserError

pytestmark = pytest.mark.long

DESCRIBED = Metadata.of({"continuous": ["age"], "categorical": ["sex"]})
TEXT = (Path(__file__).parent.parent / "docs" / "migration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
ROWS = re.findall(r"^\| `(.+)` \| (runs|refused) \| `(.+)` \|$", TEXT, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the blocks from top to bottom, in a folder of their own, and return what they leave for the lines of the tables."""
    from clover_tvae.tables import write_table

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(tmp_path_factory.mktemp("migration"))
        warnings.simplefilter("ignore", FutureWarning)
        left: dict[str, Any] = {"__name__": "__main__"}
        for block in BLOCKS:
            exec(compile(block, "migration.md", "exec"), left)
        saved = sorted(Path("results").glob("*_TVAE.pkl"))[-1]
        known = pd.DataFrame({"Class": ["malignant", "benign", "benign"], "mean radius": [20.0, 12.0, 13.5]})
        smaller = {
            "constraint_class": "Inequality",
            "constraint_parameters": {"low_column_name": "mean smoothness", "high_column_name": "mean radius"},
        }
        yield {**left, "write_table": write_table, "saved": saved, "known": known, "smaller": smaller}


def test_the_blocks_run(names: dict[str, Any]) -> None:
    assert len(BLOCKS) >= 8
    assert len(names["rows"]) == len(names["synthetic"]) + 80 == 100
    assert set(names["ill"]["Class"]) == {"malignant"}
    assert list(names["losses"]) == ["Epoch", "Loss"]
    assert len(names["df"]) == len(names["predicted"]) == 569
    assert names["balanced"]["Class"].value_counts().nunique() == 1


@pytest.mark.parametrize(("theirs", "outcome", "ours"), ROWS, ids=[theirs[:60] for theirs, _, _ in ROWS])
def test_a_line_runs_or_says_what_to_write_instead(names: dict[str, Any], theirs: str, outcome: str, ours: str) -> None:
    assert len(ROWS) >= 30
    if outcome == "runs":
        eval(theirs, {**names})
    else:
        with pytest.raises((UserError, AttributeError)) as caught:
            eval(theirs, {**names})
        words = set(re.findall(r"[a-z_]{3,}", ours)) - set(re.findall(r"[a-z_]{3,}", theirs)) - {"synth"}
        assert words & set(re.findall(r"[a-z_]{3,}", str(caught.value))), (words, str(caught.value))
    eval(ours, {**names})


def test_the_lines_of_the_tables_are_all_of_them_run() -> None:
    code = [row for row in TEXT.splitlines() if re.search(r"\| (runs|refused) \|", row)]
    assert len(code) == len(ROWS)


class TestNamesMeanTheSame:
    def test_arguments_of_the_constructor(self, names: dict[str, Any]) -> None:
        make, described = names["TVAESynthesizer"], names["sdv_metadata"]
        for given, ours in (
            ({"enable_gpu": True}, {"device": "auto"}),
            ({"cuda": "cpu"}, {"device": "cpu"}),
            ({"l2scale": 0.5, "decoder": "independent"}, {"weight_decay": 0.5, "decoder": "independent"}),
            ({"enforce_rounding": True}, {}),
            ({"enforce_rounding": True, "backend": "sdv"}, {"enforce_rounding": True, "backend": "sdv"}),
        ):
            assert make(described, **given).get_params() == make(metadata=described, **ours).get_params()

    def test_what_is_given_twice_or_unknown_is_refused(self, names: dict[str, Any]) -> None:
        make, described, synth = (names[name] for name in ("TVAESynthesizer", "sdv_metadata", "synth"))
        for given in ({"cuda": True, "device": "cpu"}, {"l2scale": 1, "weight_decay": 1, "decoder": "independent"}):
            with pytest.raises(ConfigError):
                make(described, **given)
        with pytest.raises(DataError, match="by keyword"):
            make(described, metadata=described)
        with pytest.raises(ConfigError, match="n_rows"):
            synth.sample(n_rows=3, num_rows=3)
        with pytest.raises(TypeError, match="epoch"):
            make(described, epoch=3)
        with pytest.raises(ConfigError) as caught:
            make(primary_key="no", field_types={})
        assert [problem.where for problem in caught.value.problems] == ["primary_key", "field_types"]

    def test_sampling(self, names: dict[str, Any]) -> None:
        synth, known = names["synth"], names["known"]
        rows = synth.sample(num_rows=10, random_state=3)
        pd.testing.assert_frame_equal(rows, synth.sample(10, random_state=3))
        synth.reset_sampling()
        first = synth.sample(5)
        synth.reset_sampling()
        pd.testing.assert_frame_equal(synth.sample(5), first)
        condition, frame = names["Condition"], names["DataFrameCondition"]
        drawn = synth.sample_from_conditions([condition({"Class": "benign"}, num_rows=4), frame(known)])
        assert drawn["Class"].tolist() == ["benign"] * 4 + known["Class"].tolist()
        assert drawn["mean radius"].tolist()[4:] == known["mean radius"].tolist()
        completed = synth.sample_remaining_columns(known)
        pd.testing.assert_frame_equal(completed[list(known)], known)
        for nothing in ([], [{"Class": "benign"}], "Class"):
            with pytest.raises(ConditionError):
                synth.sample_from_conditions(nothing)
        assert synth.get_loss_values()["Loss"].tolist() == synth.history["loss"].tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Metadata.detect_from_dataframe,
        lambda: Metadata.load_from_json,
        lambda: DESCRIBED.update_column,
        lambda: DESCRIBED.set_primary_key,
        lambda: DESCRIBED.get_column_names,
    ],
)
def test_methods_of_sdvs_metadata_say_what_they_are_called_here(call):
    with pytest.raises(AttributeError, match=r"it is SDV's; (write|list) "):
        call()


def test_other_attributes_of_metadata_are_told_as_ever_and_it_can_be_copied():
    assert not hasattr(DESCRIBED, "nothing")
    assert not hasattr(Metadata, "nothing")
    assert copy.deepcopy(DESCRIBED) == pickle.loads(pickle.dumps(DESCRIBED)) == DESCRIBED
