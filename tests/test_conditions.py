"""One language of conditions, three ways to write it: what Python draws, a job file and the command line draw too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clover_tvae import TVAESynthesizer
from clover_tvae.cli import app
from clover_tvae.conditions import Condition, conditions_of, read_conditions
from clover_tvae.errors import ConditionError, ConfigError
from clover_tvae.jobs import load_jobs, run_job
from clover_tvae.metadata import Metadata

CANARY = "canary-7391"
META = Metadata.of(
    {"continuous": ["age", "a", "a=b"], "categorical": ["sex", "size>x"], "boolean": ["ok"], "datetime": ["day"]}
)
STAFF = pd.DataFrame({"grade": [1, 2, 3, 4] * 30, "size": ["s", "m", "l"] * 40, "pay": np.arange(120) * 1.5})
STAFF_META = {"categorical": ["grade", "size"], "continuous": ["pay"]}


# -- each way of writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "yaml"),
    [
        ("F", "F"),
        (["F", None], ["F", None]),
        (None, None),
        (None, {"missing": True}),
        (("not missing",), {"missing": False}),
        ((">=", 65), {">=": 65}),
        (("!=", "F"), {"!=": "F"}),
        (["F", "M"], {"in": ["F", "M"]}),
        (("between", 18, 30), {"between": [18, 30]}),
    ],
)
def test_python_and_yaml_say_the_same(python: object, yaml: object) -> None:
    assert Condition.of_yaml(yaml) == Condition.of(python)
    assert Condition.of(Condition.of(python)) == Condition.of(python)


@pytest.mark.parametrize(
    "yaml",
    [
        {},
        {">=": 1, "<=": 2},
        {"~": 1},
        {"between": 1},
        {"between": [1]},
        {">=": [1]},
        {"missing": 1},
        [],
        [[1]],
        {"not missing": 1},
    ],
)
def test_yaml_that_is_no_condition(yaml: object) -> None:
    with pytest.raises(ConditionError):
        Condition.of_yaml(yaml)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["sex=F"], {"sex": "F"}),
        (["sex==F"], {"sex": "F"}),
        (["sex===F"], {"sex": "=F"}),
        (["sex = F"], {"sex": "F"}),
        (["sex=F|M"], {"sex": ["F", "M"]}),
        (["sex="], {"sex": None}),
        (["sex!="], {"sex": ("not missing",)}),
        (["sex!=F"], {"sex": ("!=", "F")}),
        (["sex>=3"], {"sex": (">=", 3)}),
        (["age>=65"], {"age": (">=", 65)}),
        (["age<2.5"], {"age": ("<", 2.5)}),
        (["age>=18", "age<=30"], {"age": ("between", 18, 30)}),
        (["a=b=3"], {"a=b": 3}),
        (["a=3"], {"a": 3}),
        (["size>x=L"], {"size>x": "L"}),
        (["ok=true"], {"ok": True}),
        (["ok=false|true"], {"ok": [False, True]}),
        (["day>=2024-01-31"], {"day": (">=", "2024-01-31")}),
    ],
)
def test_text(texts: list[str], expected: dict) -> None:
    assert read_conditions(texts, META) == {name: Condition.of(condition) for name, condition in expected.items()}


def test_two_bounds_of_text_keep_their_own_ends() -> None:
    condition = read_conditions(["age<30", "age>=18"], META)["age"]
    assert (condition.low, condition.above, condition.high, condition.below) == (18, False, 30, True)


@pytest.mark.parametrize(
    ("dtype", "text", "values"),
    [
        (pd.CategoricalDtype([1, 2]), "sex=1|2", (1, 2)),
        (np.dtype("int64"), "ok=1", (1,)),
        (np.dtype(bool), "ok=true", (True,)),
    ],
)
def test_codes_are_read_as_the_cells_of_their_column(dtype: object, text: str, values: tuple) -> None:
    name = text.partition("=")[0]
    assert read_conditions([text], META, {name: dtype})[name].values == values


def test_all_wrong_texts_are_told_at_once_each_as_it_was_typed() -> None:
    texts = ["agee=3", "age=old", "ok>x", "x\x1b[31m", "age>", "sex=a", "sex=b", "day<=1", "day<=2"]
    with pytest.raises(ConditionError) as caught:
        read_conditions(texts, META, {"ok": np.dtype(bool)})
    assert [problem.where for problem in caught.value.problems] == [
        "--where 1 ('agee=3')",
        "--where 2 ('age=old')",
        "--where 3 ('ok>x')",
        "--where 4 ('x\\x1b[31m')",
        "--where 5 ('age>')",
        "--where 7 ('sex=b')",
        "--where 9 ('day<=2')",
    ]
    assert "did you mean 'age'?" in str(caught.value)
    assert "must be a number, such as 65, found 'old'" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "cells", "condition"),
    [
        ("continuous", None, "20"),
        ("continuous", "number", True),
        ("continuous", None, ("between", 5, 2)),
        ("continuous", None, (">", float("inf"))),
        ("datetime", None, (">", 3)),
        ("categorical", "other", (">=", "a")),
        ("categorical", "number", (">=", "a")),
        ("boolean", "truth", (">=", True)),
    ],
)
def test_what_no_cell_of_such_a_column_can_meet(kind: str, cells: str | None, condition: object) -> None:
    with pytest.raises(ConditionError):
        Condition.of(condition).check(kind, cells)


@pytest.mark.parametrize(
    ("kind", "cells", "condition"),
    [
        ("continuous", None, True),
        ("continuous", "truth", True),
        ("categorical", "number", (">=", 3)),
        ("categorical", None, (">=", 3)),  # not known yet: the check of its cells follows
        ("ordinal", "other", (">=", "a")),
        ("boolean", "number", (">=", 1)),
    ],
)
def test_what_some_cell_may_meet(kind: str, cells: str | None, condition: object) -> None:
    Condition.of(condition).check(kind, cells)


# -- the three ways, end to end ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def staff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staff")
    STAFF.to_parquet(folder / "staff.parquet")  # of a CSV file, categories are text
    TVAESynthesizer(STAFF, STAFF_META, epochs=1, random_state=1, verbose=False).fit().save(folder / "staff.pkl")
    return folder


def job_file(folder: Path, condition: object) -> Path:
    sample = {"rows": 20, "output": "rows.csv", "seed": 3, "conditions": {"grade": condition}}
    job = {"name": "staff", "data": "staff.parquet", "metadata": STAFF_META, "generator_filepath": "staff.pkl"}
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"version": 1, "jobs": [{**job, "sample": sample}]}))
    return path


@pytest.mark.long
@pytest.mark.parametrize(("text", "condition"), [("grade>=3", (">=", 3)), ("grade!=3", ("!=", 3)), ("grade=3", 3)])
def test_a_range_of_numeric_categories_is_drawn_whatever_it_is_written_in(
    staff: Path, text: str, condition: object
) -> None:
    by_python = TVAESynthesizer.load(staff / "staff.pkl").sample(20, {"grade": condition}, random_state=3)
    assert len(by_python) == 20
    where = ["-n", "20", "--seed", "3", "--where", text, "-o", str(staff / "cli.csv"), "--force"]
    result = CliRunner().invoke(app, ["sample", str(staff / "staff.pkl"), *where])
    assert result.exit_code == 0, result.output
    pd.testing.assert_frame_equal(pd.read_csv(staff / "cli.csv"), by_python)
    yaml = {condition[0]: condition[1]} if isinstance(condition, tuple) else condition
    (staff / "rows.csv").unlink(missing_ok=True)
    (job,) = load_jobs([job_file(staff, yaml)], tables="always")
    result_of_job = run_job(job, force=True)
    assert result_of_job.error is None, result_of_job.error
    pd.testing.assert_frame_equal(pd.read_csv(staff / "rows.csv"), by_python)


@pytest.mark.long
def test_categories_of_a_csv_file_that_all_read_as_numbers_are_asked_for_as_numbers(
    staff: Path, tmp_path: Path
) -> None:
    STAFF.to_csv(tmp_path / "staff.csv", index=False)
    wanted = {"a": {">=": 3}, "b": 3, "c": {"!=": 3}, "d": [1, 2.0], "e": {"in": [2, 3]}, "f": "3"}
    samples = [{"rows": 30, "output": f"{name}.csv", "conditions": {"grade": said}} for name, said in wanted.items()]
    text = job_file(staff, 3).read_text().replace("staff.parquet", "staff.csv")
    job = json.loads(text)["jobs"][0] | {"sample": samples, "synthesizer": {"epochs": 1, "random_state": 1}}
    (tmp_path / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
    (read,) = load_jobs([tmp_path / "jobs.yaml"], tables="always")
    assert run_job(read).error is None
    drawn = {name: set(pd.read_csv(tmp_path / f"{name}.csv")["grade"]) for name in wanted}
    assert drawn == {"a": {3, 4}, "b": {3}, "c": {1, 2, 4}, "d": {1, 2}, "e": {2, 3}, "f": {3}}
    draw = ["sample", str(tmp_path / "staff.pkl"), "-n", "30", "--force", "-o", str(tmp_path / "g.csv")]
    for asked, grades in (("grade>=3", {3, 4}), ("grade=3", {3}), ("grade<2", {1})):
        result = CliRunner().invoke(app, [*draw, "--where", asked])
        assert result.exit_code == 0, result.output
        assert set(pd.read_csv(tmp_path / "g.csv")["grade"]) == grades
    for said in ({">=": "3"}, 7):
        job["sample"] = {"rows": 1, "output": "no.csv", "conditions": {"grade": said}}
        (tmp_path / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
        with pytest.raises(ConfigError):
            load_jobs([tmp_path / "jobs.yaml"], tables="always")


def test_one_category_that_is_no_number_leaves_a_column_text() -> None:
    from clover_tvae.transforms.categorical import CategoricalTransform

    column = CategoricalTransform.fit(pd.Series(["1", "2", "3", "3+"] * 3), "grade")
    for condition in ((">=", 2), 2):
        with pytest.raises(ConditionError):
            column.allow(Condition.of(condition))
    ordered = CategoricalTransform.fit(pd.Series(["10", "9", "8"] * 3), "grade", "ordinal", ["8", "9", "10"])
    assert ordered.allow(Condition.of((">=", 9))).choices.tolist() == [False, True, True]


@pytest.mark.long
def test_what_only_the_generator_knows_is_told_with_the_rest_under_its_own_where(staff: Path) -> None:
    texts = ["size=xl", "pay=abc", "agee=3", "grade=9", "pay>=1e9"]
    where = [part for text in texts for part in ("--where", text)]
    result = CliRunner().invoke(
        app, ["sample", str(staff / "staff.pkl"), "-n", "2", "-o", str(staff / "x.csv"), *where]
    )
    assert result.exit_code == 2
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line[: len("error: --where 1")] for line in told] == [f"error: --where {n}" for n in range(1, 6)]


@pytest.mark.long
@pytest.mark.parametrize(("text", "condition"), [("grade>=x", (">=", "x")), ("size>=m", (">=", "m")), ("pay=x", "x")])
def test_what_python_refuses_no_other_way_draws(staff: Path, text: str, condition: object) -> None:
    name = next(name for name in STAFF if text.startswith(name))
    with pytest.raises(ConditionError):
        TVAESynthesizer.load(staff / "staff.pkl").sample(20, {name: condition})
    where = ["-n", "20", "--where", text, "-o", str(staff / "none.csv")]
    assert CliRunner().invoke(app, ["sample", str(staff / "staff.pkl"), *where]).exit_code == 2
    path = job_file(staff, 3)
    yaml = {condition[0]: condition[1]} if isinstance(condition, tuple) else condition
    path.write_text(path.read_text().replace('{"grade": 3}', json.dumps({name: yaml})))
    with pytest.raises(ConfigError):
        load_jobs([path], tables="always")


@pytest.mark.parametrize("written", [{">=": 60}, {"min": 60}, {"min": 60, "max": 70}])
def test_a_dict_in_python_is_shown_the_form_of_a_comparison(written):
    with pytest.raises(
        ConditionError, match=r'must be a tuple, such as \(">=", 65\) or \("between", 18, 30\), found a dict'
    ):
        Condition.of(written)


def test_every_condition_of_a_wrong_form_is_told_with_its_column_and_the_right_one() -> None:
    with pytest.raises(ConditionError) as caught:
        conditions_of({"age": ("between",), "bmi": ("between", [5, 1]), "sex": "F"})
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert list(told) == ["column 'age'", "column 'bmi'"]
    assert all("write ('between', LOW, HIGH)" in message for message in told.values())
