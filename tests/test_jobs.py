"""YAML jobs: read strictly, checked whole before anything starts, run again at no cost."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import pickle
import signal
import string
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import refuses, until
from hypothesis import given, settings
from hypothesis import strategies as st

from clover_tvae import TVAESynthesizer, files
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConfigError, OutOfMemoryError, memory_told
from clover_tvae.jobs import (
    JobResult,
    exit_code,
    job_schema,
    load_jobs,
    plan_job,
    run_job,
    run_jobs,
    summary,
)
from clover_tvae.jobs.job import _inferred
from clover_tvae.jobs.record import held
from clover_tvae.jobs.yaml_file import MAX_BYTES, parse_yaml, read_yaml
from clover_tvae.metadata import Metadata, MetadataWarning
from clover_tvae.parameters import Parameters
from clover_tvae.workflows import DATASETS, builtin_table, make_employees
from clover_tvae.workflows.assessment import split_holdout

ROOT = Path(__file__).parents[1]
CANARY = "canary-7391"
# One epoch of the small decoder: what is learnt does not matter here, what is done with it does.
QUICK = {"epochs": 1, "decoder": "independent", "random_state": 3}
IRIS = {
    "continuous": ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"],
    "categorical": ["species"],
}


def iris_job(name: str = "iris", **keys: object) -> dict:
    job = {
        "name": name,
        "data": {"dataset": "sklearn.iris"},
        "metadata": IRIS,
        "synthesizer": QUICK,
        "generator_filepath": f"out/{name}.pkl",
        "sample": {"rows": 7, "output": f"out/{name}.csv", "seed": 1},
    }
    return {key: value for key, value in (job | keys).items() if value is not None}


def write(folder: Path, *jobs: dict, name: str = "jobs.yaml", **top: object) -> Path:
    path = folder / name
    path.write_text(json.dumps({"version": 1, "jobs": list(jobs), **top}))
    return path


def only_job(path: Path):
    (job,) = load_jobs([path])
    return job


def problems_of(text: str, folder: Path) -> list[str]:
    path = folder / "jobs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_jobs([path])
    return [str(problem).replace(f"{folder}{os.sep}", "") for problem in caught.value.problems]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A generator of the iris table."""
    path = tmp_path_factory.mktemp("generator") / "iris.pkl"
    TVAESynthesizer(builtin_table("sklearn.iris"), IRIS, verbose=False, **QUICK).fit().save(path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# --- the YAML reader -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "the key 'a' stands twice"),
        ("a: &x [1]\n", "1:4", "an anchor"),
        ("a: *x\n", "1:4", "an alias"),
        ("b:\n  <<: {c: 1}\n", "2:3", "a merge key"),
        ("a: !!python/object/apply:os.system [touch pwned]\n", "1:4", "a tag"),
        ("a: !!str 5\n", "1:4", "a tag"),
        ("a: ! 5\n", "1:4", "a tag"),
        ("country: NO\n", "1:10", "the bare word NO means false"),
        ("a: yes\n", "1:4", "the bare word yes means true"),
        ("a: True\n", "1:4", "the bare word True means true"),
        ("a: 2024-01-31\n", "1:4", "a bare date"),
        ("a: 2024-01-31T10:00:00Z\n", "1:4", "a bare date"),
        ("a: 007\n", "1:4", "a number in an unusual form"),
        ("a: 12:30\n", "1:4", "a number in an unusual form"),
        ("a: 1_000\n", "1:4", "a number in an unusual form"),
        ("a: 0x1F\n", "1:4", "a number in an unusual form"),
        ("a: .nan\n", "1:4", "a number in an unusual form"),
        ("a: 1e999\n", "1:4", "the number is too large"),
        (f"a: {'9' * 5000}\n", "1:4", "the number has too many digits"),
        ("a: 1\n---\nb: 2\n", "2:1", "a second document"),
        ("%YAML 1.1\n---\na: 1\n", "1:1", "directives"),
        ("? [a, b]\n: 1\n", "1:3", "a key must be text"),
        ("a: [1, 2\n", "2:1", "cannot be read as YAML"),
        ("a: b: c\n", "1:5", "cannot be read as YAML"),
        ("a: '" + "x" * 5, "1:10", "cannot be read as YAML"),
        ("\x07", "", "a character that YAML does not allow"),
        ("", "", "the file is empty"),
        ("# only a comment\n", "", "the file is empty"),
        ("[" * 100, "1:21", "nested more than 20 deep"),
        ("{a: " * 100, "", "nested more than 20 deep"),
        ("[" * 100_000, "1:", "nest"),  # PyYAML has a limit of its own since 6.0.4
        ("{a: " * 100_000, "", "nest"),
    ],
)
def test_what_yaml_would_read_differently_is_refused_with_its_place(text: str, where: str, message: str) -> None:
    _, problems = parse_yaml(text, "job.yaml")
    assert any(
        p.where.startswith(f"job.yaml:{where}" if where else "job.yaml") and message in p.message for p in problems
    )


def test_a_refused_value_does_not_hide_the_ones_after_it() -> None:
    node, problems = parse_yaml("a: *x\n? *y\n: 1\nb: NO\nc: 5\n", "f")
    assert [problem.where for problem in problems] == ["f:1:4", "f:2:3", "f:4:4"]
    assert node is not None
    assert node.plain() == {"a": None, "b": "NO", "c": 5}


def test_an_alias_bomb_costs_nothing() -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 10)]
    _, problems = parse_yaml("l0: &l0 [lol]\n" + "\n".join(levels), "bomb")
    # The report is cut, too.
    assert len(problems) == 50


def test_a_fault_after_all_that_are_told_is_no_error_of_another_kind() -> None:
    node, problems = parse_yaml("[" + "*a, " * 50 + "}")
    assert node is None
    assert len(problems) == 50


def test_plain_values_and_keys() -> None:
    text = (
        "a: 1\nb: -2.5\nc: 1e3\nd: true\ne: null\nf:\ng: 'no'\nh: \"007\"\nno: x\n1: z\ni: |\n  yes\nj: [a, {k: ~}]\n"
    )
    node, problems = parse_yaml(text)
    assert not problems
    assert node is not None
    assert node.plain() == {
        "a": 1, "b": -2.5, "c": 1000.0, "d": True, "e": None, "f": None, "g": "no", "h": "007", "no": "x", "1": "z",
        "i": "yes\n", "j": ["a", {"k": None}],
    }  # fmt: skip
    assert node.find(["j", 1, "k"]) == (13, 9, False)
    assert node.find(["j", "a tag of the schema", 1]) == (13, 8, False)


_text = st.text(string.ascii_letters + string.digits + " äé😀#:&*!|>%@`'\\-?,[]{}", max_size=20)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.long
@given(_json)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    node, problems = parse_yaml(json.dumps(value, ensure_ascii=False))
    assert not problems
    assert node is not None
    assert node.plain() == value


@pytest.mark.long
@given(st.text() | st.text("&*!<[]{}:-?|>'\"%#,~ \n\tabc01", max_size=60))
@settings(max_examples=200)
def test_no_text_makes_the_reader_raise(text: str) -> None:
    node, problems = parse_yaml(text)
    assert problems or node is not None


def test_pyyamls_own_parser_is_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: 1\na: 2\nb: NO\nc: &x [2024-01-01, 'no']\n? [k]\n: v\n"
    found = parse_yaml(text)
    monkeypatch.setattr("clover_tvae.jobs.yaml_file._LOADER", yaml.SafeLoader)
    assert parse_yaml(text) == found


def test_files_that_are_no_job_files(folder: Path) -> None:
    (folder / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    (folder / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    (folder / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert "larger than" in str(read_yaml(folder / "big.yaml")[1][0])
    assert "latin.yaml:2:1: the file is not UTF-8" in str(read_yaml(folder / "latin.yaml")[1][0])
    assert "does not exist" in str(read_yaml(folder / "none.yaml")[1][0])
    assert "is a folder" in str(read_yaml(folder)[1][0])
    assert "cannot be read" in str(read_yaml("nul\0.yaml")[1][0]) or "does not exist" in str(
        read_yaml("nul\0.yaml")[1][0]
    )
    node, problems = read_yaml(folder / "bom.yaml")
    assert node is not None
    assert (node.plain(), problems) == ({"a": 1}, [])


# --- the checks before anything starts -----------------------------------------------------------------------------------


def test_every_problem_of_a_file_is_reported_at_once_with_its_place(folder: Path) -> None:
    (folder / "table.csv").write_text(f"age,sex\n3,{CANARY}\n")
    (folder / "broken.json").write_text("{")
    found = problems_of(
        f"""\
version: 2
default: {{}}
defaults:
  synthesizer: {{epoch: 3}}
jobs:
  - name: a
    data: ../table.csv
    metadata: {{continous: [age]}}
    sample: {{rows: -1, output: /etc/rows.csv}}
  - name: A
    data: table.csv
    metadata: {{continuous: [agee], categorical: [sex]}}
    synthesizer: {{decoder: autoregresive, epochs: "5", compress_dims: [0], device: gpu, random_state: 1.5}}
    sample: {{rows: 5, output: http://host/rows.csv, conditions: {{sexx: {CANARY}}}}}
  - {{name: b, data: gone.csv, metadata: broken.json, generator_filepath: b.bin}}
  - {{name: c/d, data: table.csv, metadata: infer, sampel: 1}}
  - {{name: e, data: table.txt, metadata: ../m.json, sample: {{rows: 1, output: .csv}}}}
  - 7
""",
        folder,
    )
    text = "\n".join(found)
    for expected in [
        "jobs.yaml:2:1: unknown key 'default'; did you mean 'defaults'?",
        "jobs.yaml:1:1: this release reads version 1",
        "jobs.yaml:4:17: unknown key 'epoch'; did you mean 'epochs'?",
        "jobs.yaml:7:5: data: the path holds '..'",
        "jobs.yaml:8:16: metadata: continous: unknown key",
        "jobs.yaml:9:14: rows: must be greater than or equal to 0, found rows=-1",
        "jobs.yaml:10:5: the name 'A' is taken by another job",
        "jobs.yaml:12:5: column 'agee': the table has no such column, declared 'continuous'; did you mean 'age'?",
        "jobs.yaml:12:5: column 'age': the metadata does not know this column",
        "jobs.yaml:13:19: decoder: must be 'autoregressive', 'independent', found text; did you mean 'autoregressive'?",
        "jobs.yaml:13:43: epochs: must be a whole number from 1 to 1,000,000,000, found text",
        "jobs.yaml:13:72: compress_dims: must be a list of 1 to 64 widths, each a whole number from 1 to 16,384, found",
        "jobs.yaml:13:76: device: must be 'cpu', 'cuda', 'cuda:1', 'mps', 'auto', found text",
        "jobs.yaml:13:89: random_state: must be a whole number from 0 to 18,446,744,073,709,551,615, found random_state=1.5",
        "jobs.yaml:14:23: output: the path is a URL",
        "jobs.yaml:14:66: the metadata has no modelled column 'sexx'; did you mean 'sex'?",
        "jobs.yaml:15:15: data: gone.csv: the file does not exist",
        "jobs.yaml:15:31: broken.json: ",
        "jobs.yaml:15:54: generator_filepath: must be a file name that ends in .pkl",
        "jobs.yaml:16:6: name: must be letters, digits",
        "jobs.yaml:16:51: unknown key 'sampel'; did you mean 'sample'?",
        "jobs.yaml:17:15: data: must be a file name that ends in .csv",
        "jobs.yaml:17:32: metadata: the path holds '..'",
        "jobs.yaml:17:71: output: must be a file name that ends in .csv",
        "jobs.yaml:18:5: must be a mapping with the keys of a job",
    ]:
        assert expected in text, expected
    assert len(found) == len(set(found)) == 26
    assert found == sorted(found, key=lambda line: tuple(map(int, line.split(":")[1:3])))
    assert CANARY not in text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../rows.csv", "holds '..'"),
        ("a/../../rows.csv", "holds '..'"),
        ("/tmp/rows.csv", "is absolute"),
        ("~/rows.csv", "is absolute"),
        ("C:\\rows.csv", "is absolute"),
        ("https://example.org/rows.csv", "is a URL"),
        ("s3://bucket/rows.csv", "is a URL"),
        ("link/rows.csv", "leaves the folder through a symbolic link"),
        ("rows.exe", "ends in .csv"),
        ("here.csv", "there is a folder of this name"),
        ("file.txt/rows.csv", "is a file, not a folder"),
        ("jobs.yaml", "ends in .csv"),
        ("table.csv", "is the data of job 'j'"),
    ],
)
def test_outputs_stay_inside_the_folder_and_overwrite_no_input(folder: Path, path: str, message: str) -> None:
    work = folder / "work"
    (work / "here.csv").mkdir(parents=True)
    (work / "file.txt").write_text("")
    (work / "table.csv").write_text("a\n1\n")
    (work / "link").symlink_to(folder)
    job = {"name": "j", "data": "table.csv", "metadata": "infer", "sample": {"rows": 1, "output": path}}
    with pytest.raises(ConfigError, match=r"jobs\.yaml:1:\d+: output: ") as caught:
        load_jobs([write(work, job)])
    assert message in str(caught.value)


def test_inputs_stay_inside_the_folder(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    (folder / "secret.csv").write_text("a\n1\n")
    (work / "linked.csv").symlink_to(folder / "secret.csv")
    for data in ("linked.csv", "../secret.csv", str(folder / "secret.csv"), "file:///etc/passwd.csv"):
        with pytest.raises(ConfigError, match=r"jobs\.yaml:1:\d+: data: "):
            load_jobs([write(work, iris_job(data=data))])
    # A wider root is the user's word, on the command line and not in the file.
    (folder / "out").mkdir()
    assert (
        load_jobs([write(work, iris_job(data="secret.csv", metadata="infer"))], root=folder)[0].folder
        == folder.resolve()
    )


def test_two_jobs_may_not_write_one_file(folder: Path) -> None:
    first, second = (
        iris_job("a"),
        iris_job("b", generator_filepath="out/A.pkl", sample={"rows": 1, "output": "out/x/../a.csv"}),
    )
    second["sample"]["output"] = "out/./a.csv"
    with pytest.raises(ConfigError) as caught:
        load_jobs([write(folder, first, second)])
    text = str(caught.value)
    assert "generator_filepath: the file is written as generator_filepath of job 'a' too" in text
    assert "output: the file is written as output of job 'a' too" in text
    other = write(folder, iris_job("a"), name="other.yaml")
    with pytest.raises(ConfigError, match=r"other\.yaml:1:\d+: generator_filepath: ") as caught:
        load_jobs([write(folder, first), other])
    assert len(caught.value.problems) == 2
    with refuses(ConfigError, str(other)):
        load_jobs([other, other])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"data": None}, "the key 'data' is missing"),
        ({"metadata": None}, "the key 'metadata' is missing"),
        ({"generator_filepath": None, "sample": None}, "leaves nothing behind"),
        ({"missing": ["NA"]}, "missing belongs to a CSV file"),
        ({"data": {"dataset": "sklearn.irs"}}, "did you mean 'sklearn.iris'?"),
        ({"data": 5}, "data: must be text, found data=5"),
        ({"sample": {"rows": 1}}, "the key 'output' is missing"),
        ({"read": {"separator": ";"}}, "read belongs to a CSV file"),
        ({"read": {"seperator": ";"}}, "unknown key 'seperator'; did you mean 'separator'?"),
        ({"read": {"decimal": "x"}}, "decimal: must be '.' or ','"),
        ({"sample": 3}, "sample: must be"),
        (
            {"synthesizer": {"epochs": True}},
            "epochs: must be a whole number from 1 to 1,000,000,000, found true or false",
        ),
        (
            {"synthesizer": {"validation_fraction": 1}},
            "validation_fraction: must be a number of at least 0 and below 1, found validation_fraction=1",
        ),
        ({"synthesizer": [1]}, "synthesizer: must be a mapping of names to values, found a list"),
        ({"synthesizer": {"verbose": True}}, "unknown key 'verbose'"),
        ({"synthesizer": {"random_state": 10**20 - 1}}, "random_state: must be a whole number from 0 to"),
        ({"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": {"~": 1}}}}, "must be one of =="),
        ({"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": {}}}}, "must be one operator"),
        (
            {"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": {"between": [1]}}}},
            "must have 2 value(s), found 1",
        ),
        (
            {"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": {"missing": 1}}}},
            "must be true or false, found int",
        ),
        (
            {"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": {">": [1]}}}},
            "must have single values, found list",
        ),
        ({"sample": {"rows": 1, "output": "x.csv", "conditions": {"species": []}}}, "at least one value, found none"),
    ],
)
def test_wrong_jobs(folder: Path, keys: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_jobs([write(folder, iris_job(**keys))])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["5", "version: 1", "version: 1\njobs: []", "version: 1\njobs: {}", "version: 1\njobs: [{name: a}]\ndefaults: 3",
     "jobs: [{name: a, data: {dataset: sklearn.iris}, metadata: infer, generator_filepath: g.pkl}]",
     "version: 1\ndefaults: {name: x}\njobs: [{name: a, data: {dataset: sklearn.iris}, metadata: infer, generator_filepath: g.pkl}]",
     "version: true\njobs: [{name: a, data: {dataset: sklearn.iris}, metadata: infer, generator_filepath: g.pkl}]"],
)  # fmt: skip
def test_wrong_files(folder: Path, text: str) -> None:
    assert all(problem.startswith("jobs.yaml:") for problem in problems_of(text, folder))


def test_what_columns_are_is_inferred_from_the_rows_that_are_learnt(folder: Path) -> None:
    held = split_holdout(pd.DataFrame({"i": range(500)}), 0.2, 3)[1]["i"]
    learnt = sorted({*range(500)} - {*held})
    df = pd.DataFrame({"x": pd.Series(range(500)) ** 2 % 97 / 7, "sex": ["F", "M"] * 250, "late": pd.NA, "word": "b"})
    df.loc[[*learnt[:4], *held[:2]], "late"] = 1.5  # in six rows of the table, in four of those that are learnt
    df.loc[learnt[:200], "word"] = "a"
    df.to_csv(folder / "t.csv", index=False)
    job = only_job(write(folder, iris_job(data="t.csv", metadata="infer", holdout=0.2)))
    with pytest.warns(UserWarning, match="'late': holds values in fewer than 5 cells"):
        table = job.read_table({})
    assert table.metadata.column("late").kind == "ignore"
    assert len(table.holdout) == 100
    df["word"] = df["x"].round(1).astype(str)
    df.loc[held[:20], "word"] = "unknown"  # which the rows that are learnt do not know
    df.drop(columns="late").to_csv(folder / "t.csv", index=False)
    with pytest.warns(UserWarning, match="'word'"):
        table = job.read_table({})
    assert table.metadata.column("word").kind == "continuous"
    # Another column keeps to the rows that are learnt, and numbers that all rows show to be given out are not learnt.
    df["pool"] = np.random.default_rng(1).permutation(np.arange(10_000, 20_000))[:500]
    assert Metadata.infer(df.loc[learnt, ["x", "pool"]]).column("pool").kind == "continuous"
    df.to_csv(folder / "t.csv", index=False)
    with pytest.warns(MetadataWarning) as told:
        metadata = job.read_table({}).metadata
    assert [sum(f"'{name}'" in str(one.message) for one in told) for name in ("x", "sex", "late", "word", "pool")] == [
        0,
        0,
        1,
        1,
        1,
    ]
    assert {column.name: column.kind for column in metadata.columns} == {
        "x": "continuous", "sex": "categorical", "late": "ignore", "word": "continuous", "pool": "id",
    }  # fmt: skip


def test_what_one_person_wrote_is_no_word_of_a_column_that_all_rows_tell(folder: Path) -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(160), [60, *rng.integers(1, 11, 159)])
    weight = pd.Series(rng.normal(70, 10, len(who)).round(1).astype(str)) + " kg"
    weight[who == 0] = "Dr-Huber-Ward-7"
    age = rng.integers(20, 90, len(who))
    pd.DataFrame({"patient_id": [f"P{i:04d}" for i in who], "age": age, "weight": weight}).to_csv(
        folder / "t.csv", index=False
    )
    is_held = []
    for seed in range(6):
        job = only_job(
            write(folder, iris_job(data="t.csv", metadata="infer", holdout=0.3, synthesizer={"random_state": seed}))
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            table = job.read_table({})
        is_held.append("P0000" in set(table.holdout["patient_id"]))
        assert table.metadata.unit == "patient_id"
        assert "Huber" not in str(table.metadata.to_dict())
        assert not any("Huber" in str(one.message) for one in told)
        assert sum("'patient_id'" in str(one.message) for one in told) == 1
    assert len(set(is_held)) == 2


def inferred_table(folder: Path, df: pd.DataFrame, seed: int) -> Any:
    df.to_csv(folder / "t.csv", index=False)
    text = iris_job(data="t.csv", metadata="infer", holdout=0.2, synthesizer={"random_state": seed})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return only_job(write(folder, text)).read_table({})


def test_a_pair_of_numbers_is_inferred_beside_rows_held_out(folder: Path) -> None:
    rng = np.random.default_rng(0)
    cells = [f"{high}/{low}" for high, low in zip(rng.integers(95, 190, 300), rng.integers(50, 99, 300), strict=True)]
    df = pd.DataFrame({"age": rng.integers(20, 90, 300), "bp": cells, "sex": rng.choice(["f", "m"], 300)})
    found = inferred_table(folder, df, 1).metadata
    assert [column.name for column in found.columns] == ["age", "bp_1", "bp_2", "sex"]
    held = split_holdout(df, 0.2, 1)[1].index
    df.loc[held[0], "bp"] = "refused"  # no pair, and held out
    assert [c.part_of for c in inferred_table(folder, df, 1).metadata.columns if c.name != "age"][:2] == ["bp", "bp"]


def test_a_unit_that_a_column_shows_stays_where_that_column_is_read_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    n_rows = np.r_[np.ones(24, dtype=int), rng.integers(2, 6, 176)]
    nr, height = (np.repeat(values, n_rows) for values in (rng.permutation(200) + 1, rng.normal(172, 9, 200).round()))
    df = pd.DataFrame({"nr": nr, "height": [f"{value:.0f} cm" for value in height]})
    df["crp"] = rng.lognormal(2, 1, len(df)).round(1)
    df = df.sample(frac=1, random_state=1, ignore_index=True)
    df.loc[df["nr"] == nr[0], "height"] = "refused"  # of one who came once, and is held out
    is_held = df["nr"].isin(nr[np.flatnonzero(np.diff(nr, prepend=0))][::17])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = _inferred(df, lambda _: (df[~is_held], df[is_held]))
    assert found.unit == "nr"
    assert {column.name: column.kind for column in found.columns} == {
        "nr": "id",
        "height": "continuous",
        "crp": "continuous",
    }
    assert [sum(f"column {name!r}: " in str(one.message) for one in told) for name in df] == [1, 1, 0]


def test_defaults_lie_under_each_job(folder: Path) -> None:
    defaults = {
        "data": {"dataset": "sklearn.iris"},
        "metadata": "infer",
        "synthesizer": {"epochs": 9, "batch_size": 50},
        "sample": {"rows": 5, "seed": 2},
    }
    jobs = load_jobs(
        [
            write(
                folder,
                {"name": "a", "sample": {"output": "a.csv"}, "synthesizer": {"epochs": 1}},
                {"name": "b", "sample": [{"output": "b.csv", "rows": 6}, {"output": "c.parquet"}], "metadata": IRIS},
                {"name": "c", "generator_filepath": "c.pkl"},
                defaults=defaults,
            )
        ]
    )
    a, b, c = (job.spec for job in jobs)
    assert a.synthesizer.given() == {"epochs": 1, "batch_size": 50}
    assert [(s.rows, s.seed, s.output) for s in (*a.sample, *b.sample)] == [
        (5, 2, "a.csv"),
        (6, 2, "b.csv"),
        (5, 2, "c.parquet"),
    ]
    assert jobs[1].metadata == Metadata.of(IRIS)
    assert c.sample == ()


def test_conditions_reach_the_synthesizer_in_its_own_form(folder: Path) -> None:
    said = {
        "a": 1,
        "b": ["x", None],
        "c": {">=": 5},
        "d": None,
        "e": {"between": [1, 2]},
        "f": {"missing": False},
        "g": {"missing": True},
    }
    job = iris_job(metadata="infer", sample={"rows": 1, "output": "x.csv", "conditions": said})
    assert only_job(write(folder, job)).spec.sample[0].parsed_conditions() == {
        "a": Condition.of(1),
        "b": Condition.of(["x", None]),
        "c": Condition.of((">=", 5)),
        "d": Condition.of(None),
        "e": Condition.of(("between", 1, 2)),
        "f": Condition.of(("not missing",)),
        "g": Condition.of(None),
    }


def test_only_names_jobs(folder: Path) -> None:
    path = write(folder, iris_job("a"), iris_job("b", data="not/here.csv"))
    assert [job.name for job in load_jobs([path], only=["a"])] == ["a"]
    with refuses(ConfigError, "--only"):
        load_jobs([path], only=["aa"])
    with refuses(ConfigError, "--only"):
        load_jobs([path], only=["zzz"])


def test_columns_are_compared_before_anything_starts(folder: Path) -> None:
    frame = builtin_table("sklearn.iris")
    frame.to_parquet(folder / "t.parquet")
    with gzip.open(folder / "t.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    (folder / "broken.parquet").write_bytes(b"PAR1")
    (folder / "broken.csv.gz").write_bytes(b"\x1f\x8b")
    short = {"continuous": ["sepal length (cm)"], "categorical": ["kind"]}
    for data in ("t.parquet", "t.csv.gz"):
        assert load_jobs([write(folder, iris_job(data=data))])
        with pytest.raises(ConfigError) as caught:
            load_jobs([write(folder, iris_job(data=data, metadata=short))])
        assert "column 'kind': the table has no such column" in str(caught.value)
        for name in ("sepal width (cm)", "petal length (cm)"):
            assert f"column '{name}': the metadata does not know this column" in str(caught.value)
    for data in ("broken.parquet", "broken.csv.gz"):
        with pytest.raises(ConfigError, match=rf"jobs\.yaml:1:\d+: data: {data}: "):
            load_jobs([write(folder, iris_job(data=data))])


def test_a_table_is_read_by_one_reader_whatever_it_ends_in(folder: Path) -> None:
    builtin_table("sklearn.iris").to_parquet(folder / "t.pq")
    assert run_job(only_job(write(folder, iris_job(data="t.pq")))).status == "done"
    # Parquet under the name of a CSV file: told without the bytes of the file.
    (folder / "t.pq").rename(folder / "t.csv")
    with pytest.raises(ConfigError) as caught:
        load_jobs([write(folder, iris_job(data="t.csv"))])
    assert "is Parquet inside, not CSV" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.long
def test_a_job_writes_csv_as_it_read_it_and_says_so(folder: Path) -> None:
    table = builtin_table("sklearn.iris")
    table.to_csv(folder / "t.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    job = iris_job(data="t.csv", holdout="t.csv", sample=[
        {"rows": 7, "output": "out/a.csv", "seed": 1}, {"rows": 7, "output": "out/a.parquet", "seed": 1},
    ])  # fmt: skip
    told: list[str] = []
    assert run_job(only_job(write(folder, job)), tell=told.append).status == "done"
    assert "read as: separator ';', decimal ','" in told
    rows = pd.read_csv(folder / "out/a.csv", sep=";", decimal=",")
    pd.testing.assert_frame_equal(rows, pd.read_parquet(folder / "out/a.parquet"))
    written = (folder / "out/a.csv").read_bytes()
    # How it is read is said now: it is learnt again. Drawn without being read again, the rows look the same.
    said = job | {"read": {"separator": ";", "decimal": ",", "thousands": ""}}
    assert run_job(only_job(write(folder, said))).reason == "changed since the last training: read"
    (folder / "out/a.csv").unlink()
    (folder / "t.csv").unlink()
    assert run_job(only_job(write(folder, {key: said[key] for key in said if key != "holdout"}))).trained is False
    assert (folder / "out/a.csv").read_bytes() == written


@pytest.mark.long
def test_a_job_writes_as_many_decimals_as_all_numbers_of_a_column_have(folder: Path) -> None:
    table = builtin_table("sklearn.iris")
    money, other = table.columns[:2]
    texts = table.assign(**{money: table[money].map("{:.2f}".format)})
    texts.to_csv(folder / "t.csv", index=False)
    output = [{"rows": 60, "output": f"out/a{suffix}", "seed": 1} for suffix in (".csv", ".parquet")]
    assert run_job(only_job(write(folder, iris_job(data="t.csv", sample=output)))).status == "done"
    rows, numbers = pd.read_csv(folder / "out/a.csv", dtype=str), pd.read_parquet(folder / "out/a.parquet")
    assert numbers[money].dtype == float
    assert rows[money].tolist() == [f"{number:.2f}" for number in numbers[money]]
    assert any(text.endswith("0") for text in rows[money])
    assert rows[other].tolist() == numbers[other].map(str).tolist()


def test_a_wrong_word_on_how_a_file_is_written_is_one_problem(folder: Path) -> None:
    (folder / "t.csv").write_bytes("größe;species\n1,5;a\n".encode("cp1252"))
    with pytest.raises(ConfigError) as caught:
        load_jobs([write(folder, iris_job(data="t.csv", read={"encoding": "cp1253"}))])
    assert [p.message.startswith("encoding: must be 'utf-8'") for p in caught.value.problems] == [True]


def test_the_schema_for_editors_is_current_and_agrees_with_the_loader(folder: Path) -> None:
    assert json.loads((ROOT / "metadata" / "job.schema.json").read_text()) == job_schema()
    validator = jsonschema.Draft202012Validator(job_schema())
    jsonschema.Draft202012Validator.check_schema(job_schema())
    validator.validate({"version": 1, "jobs": [iris_job()], "defaults": {"sample": {"rows": 3}}})
    for wrong in (
        {"version": 2, "jobs": [iris_job()]},
        {"version": 1, "jobs": []},
        {"version": 1, "jobs": [iris_job(sampel=1)]},
        {"version": 1, "jobs": [iris_job(synthesizer={"epochs": 0})]},
    ):
        assert not validator.is_valid(wrong)


def test_a_job_knows_every_parameter_of_the_synthesizer() -> None:
    import inspect

    constructor = set(inspect.signature(TVAESynthesizer.__init__).parameters)
    assert set(Parameters.model_fields) == constructor - {
        "self",
        "df",
        "metadata",
        "generator_filepath",
        "expected_sha256",
        "verbose",
    }


# --- running -------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_job_trains_once_and_then_has_nothing_to_do(folder: Path) -> None:
    path = write(folder, iris_job(sample=[
        {"rows": 7, "output": "out/iris.csv", "seed": 1},
        {"rows": 4, "output": "out/some.parquet", "conditions": {"species": ["setosa"], "sepal width (cm)": {">=": 3}}},
    ]))  # fmt: skip
    result = run_job(only_job(path))
    assert (result.status, result.trained, result.rows, result.outputs) == (
        "done", True, 11, ("out/iris.csv", "out/some.parquet"),
    )  # fmt: skip
    assert pd.read_csv(folder / "out/iris.csv").columns.tolist() == builtin_table("sklearn.iris").columns.tolist()
    some = pd.read_parquet(folder / "out/some.parquet")
    assert set(some["species"]) == {"setosa"}
    assert some["sepal width (cm)"].min() >= 3
    assert TVAESynthesizer.load(folder / "out/iris.pkl", expected_sha256=result.sha256).fitted
    assert (folder / ".clover-tvae/.gitignore").read_text() == "*\n"

    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}
    again = run_job(only_job(path))
    assert (again.status, again.reason, again.outputs) == ("up to date", "nothing has changed since the last run", ())
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in before} == before

    # An output that is gone is drawn again, alone, from the generator that is there: the same rows.
    rows = (folder / "out/iris.csv").read_bytes()
    (folder / "out/iris.csv").unlink()
    redrawn = run_job(only_job(path))
    assert (redrawn.status, redrawn.trained, redrawn.outputs) == ("done", False, ("out/iris.csv",))
    assert redrawn.reason == "generator present: sampling without training"
    assert (folder / "out/iris.csv").read_bytes() == rows

    forced = run_job(only_job(path), force=True)
    assert (forced.trained, len(forced.outputs)) == (False, 2)
    generator = (folder / "out/iris.pkl").read_bytes()
    retrained = run_job(only_job(path), retrain=True)
    assert (retrained.trained, retrained.reason, len(retrained.outputs)) == (True, "asked to train again", 2)
    assert (folder / "out/iris.csv").read_bytes() == rows
    assert len((folder / "out/iris.pkl").read_bytes()) == pytest.approx(len(generator), abs=100)


@pytest.fixture
def present(folder: Path, trained: bytes) -> Callable[..., Path]:
    """Writes a job file beside a generator that is there already."""
    (folder / "out").mkdir()
    (folder / "out/iris.pkl").write_bytes(trained)
    return lambda **keys: write(folder, iris_job(**keys))


@pytest.mark.long
def test_a_generator_from_elsewhere_is_used_without_training_and_without_data(folder: Path, present) -> None:
    result = run_job(only_job(present(data=None, metadata=None)))
    assert (result.status, result.trained, result.rows) == ("done", False, 7)
    assert result.reason == "generator present (not trained by this job): sampling without training"
    # A table that is not on this machine is not needed either.
    assert run_job(only_job(present(data="elsewhere.csv"))).status == "up to date"
    missing = run_job(only_job(present(data="elsewhere.csv")), retrain=True)
    assert missing.error is not None
    assert "--retrain: the data of the job is not there" in missing.error.message


def test_a_generator_of_another_table_is_refused_where_the_data_is_there(present) -> None:
    job = only_job(present(data={"dataset": "sklearn.wine"}, metadata="infer"))
    result = run_job(job)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.exit_code == 2
    assert "metadata" in result.error.message


def test_a_damaged_generator_has_its_own_exit_code(folder: Path, present, trained: bytes) -> None:
    path = present()
    (folder / "out/iris.pkl").write_bytes(trained[:-40])
    result = run_job(only_job(path))
    assert (result.status, result.error and result.error.exit_code) == ("failed", 3)


def test_what_is_asked_for_decides_what_is_drawn_again(folder: Path, present) -> None:
    run_job(only_job(present()))
    sample = {"rows": 7, "output": "out/iris.csv", "seed": 1}
    assert plan_job(only_job(present(sample=sample))).up_to_date
    for change in (
        {"rows": 8},
        {"seed": 2},
        {"missing": False},
        {"decode": "argmax"},
        {"conditions": {"species": "setosa"}},
    ):
        plan = plan_job(only_job(present(sample=sample | change)))
        assert (plan.train, plan.samples) == (False, (0,)), change
    # Another path is another output; the first file stays.
    assert plan_job(only_job(present(sample=sample | {"output": "out/b.csv"}))).samples == (0,)


def test_changed_data_metadata_or_parameters_train_again_and_say_why(folder: Path) -> None:
    frame = builtin_table("sklearn.iris")
    frame.to_csv(folder / "t.csv", index=False)
    keys = {"data": "t.csv", "metadata": IRIS}
    run_job(only_job(write(folder, iris_job(**keys))))

    def reason(**change: object) -> str:
        plan = plan_job(only_job(write(folder, iris_job(**(keys | change)))))
        assert plan.train
        assert plan.samples == (0,)
        return plan.reason

    assert plan_job(only_job(write(folder, iris_job(**keys)))).up_to_date
    # What does not change what is learnt trains nothing.
    assert not plan_job(only_job(write(folder, iris_job(**keys, synthesizer=QUICK | {"device": "auto"})))).train
    assert reason(synthesizer=QUICK | {"epochs": 2}) == "changed since the last training: synthesizer.epochs"
    assert reason(metadata=IRIS | {"variable_to_predict": "species"}) == "changed since the last training: metadata"
    assert reason(missing=["", "NA"]) == "changed since the last training: missing"
    frame.iloc[:-1].to_csv(folder / "t.csv", index=False)
    assert reason() == "changed since the last training: data"
    # Without the data there is nothing to compare: the generator is used.
    (folder / "t.csv").unlink()
    assert plan_job(only_job(write(folder, iris_job(**keys)))).up_to_date


def test_a_job_without_a_generator_file_trains_when_an_output_is_due(folder: Path) -> None:
    path = write(folder, iris_job(generator_filepath=None))
    assert run_job(only_job(path)).trained
    assert run_job(only_job(path)).status == "up to date"
    (folder / "out/iris.csv").unlink()
    plan = plan_job(only_job(path))
    assert (plan.train, plan.reason) == (True, "an output is due, and the job keeps no generator")
    assert list(folder.rglob("*.pkl")) == []


def test_files_that_the_job_did_not_write_are_never_overwritten(folder: Path, present) -> None:
    path = present()
    mine = folder / "out/iris.csv"
    mine.write_text("my own work\n")
    result = run_job(only_job(path))
    assert result.error is not None
    assert (result.status, result.error.exit_code) == ("failed", 2)
    assert "was not written by this job" in result.error.message
    assert mine.read_text() == "my own work\n"
    assert run_job(only_job(path), force=True).status == "done"
    mine.write_text(mine.read_text() + "edited\n")
    assert "was changed after this job wrote it" in str(run_job(only_job(path)).error)


def test_after_a_crash_while_writing_the_job_goes_on(folder: Path, present) -> None:
    job = only_job(present())
    run_job(job)
    # What a crash leaves: the output is noted as being written, and half of it may be there.
    (record,) = (folder / ".clover-tvae").glob("*.json")
    content = json.loads(record.read_text())
    content["outputs"]["out/iris.csv"]["sha256"] = None
    record.write_text(json.dumps(content))
    assert run_job(job).status == "done"
    for broken in (
        "",
        "[]",
        '{"format": 1}',
        "{" * 5000,
        '{"format": "clover-tvae-job-record", "version": 1, "outputs": 5}',
    ):
        record.write_text(broken)
        assert "not written by this job" in str(run_job(job).error)


def test_a_seed_of_the_job_fixes_samples_that_have_none(folder: Path, present) -> None:
    samples = [{"rows": 50, "output": "out/a.csv"}, {"rows": 50, "output": "out/b.csv"}]
    path = present(sample=samples)
    run_job(only_job(path))
    first = [(folder / name).read_bytes() for name in ("out/a.csv", "out/b.csv")]
    assert first[0] != first[1]
    run_job(only_job(path), force=True)
    assert [(folder / name).read_bytes() for name in ("out/a.csv", "out/b.csv")] == first


def test_no_value_of_the_data_gets_into_messages_records_or_summaries(folder: Path) -> None:
    frame = pd.DataFrame({"age": ["31", CANARY, "44", "57"] * 5, "note": [f"{CANARY}-{i}" for i in range(20)]})
    frame.to_csv(folder / "bad.csv", index=False)
    bad = iris_job("bad", data="bad.csv", metadata={"continuous": ["age"], "categorical": ["note"]})
    unseen = iris_job("unseen", sample={"rows": 1, "output": "out/u.csv", "conditions": {"species": CANARY}})
    results = run_jobs(load_jobs([write(folder, bad, unseen)]), keep_going=True)
    assert [result.status for result in results] == ["failed", "failed"]
    assert [result.error and result.error.exit_code for result in results] == [2, 2]
    assert CANARY not in json.dumps(summary(results))
    for file in folder.rglob(".clover-tvae/*"):
        assert CANARY not in file.read_text()


def test_names_that_would_be_formulas_or_markup_stay_text(folder: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "{{7*7}}"]
    frame = pd.DataFrame({name: [1.5, 2.5, 3.5, 4.5] * 10 for name in names} | {"k": ["=1+1", "{{7*7}}"] * 20})
    frame.to_parquet(folder / "t.parquet")
    job = iris_job(data="t.parquet", metadata={"continuous": names, "categorical": ["k"]})
    assert run_job(only_job(write(folder, job))).status == "done"
    text = (folder / "out/iris.csv").read_text()
    assert text.startswith("'=cmd")
    assert "\n=" not in text
    assert ",=" not in text


def test_nothing_starts_if_the_third_of_five_jobs_is_wrong(folder: Path) -> None:
    jobs = [iris_job(name) for name in "abcde"]
    jobs[2]["synthesizer"] = {"epochs": -1}
    path = write(folder, *jobs)
    with pytest.raises(ConfigError, match=r"jobs\.yaml:1:\d+: epochs: "):
        load_jobs([path])
    assert [file.name for file in folder.iterdir()] == ["jobs.yaml"]


def test_a_failure_skips_the_rest_unless_told_to_keep_going(folder: Path, trained: bytes) -> None:
    (folder / "out").mkdir()
    for name in "abc":
        (folder / f"out/{name}.pkl").write_bytes(b"no generator" if name == "b" else trained)
    jobs = load_jobs([write(folder, *(iris_job(name, data=None, metadata=None) for name in "abc"))])
    seen: list[str] = []
    results = run_jobs(
        jobs, on_start=lambda job: seen.append(job.name), on_done=lambda result: seen.append(result.status)
    )
    assert [result.status for result in results] == ["done", "failed", "skipped"]
    assert seen == ["a", "done", "b", "failed", "skipped"]
    assert exit_code(results) == 3
    results = run_jobs(jobs, keep_going=True)
    assert [result.status for result in results] == ["up to date", "failed", "done"]
    plain = json.loads(json.dumps(summary(results)))
    assert plain["counts"] == {"done": 1, "up to date": 1, "failed": 1, "skipped": 0}
    assert plain["exit_code"] == 3
    assert plain["jobs"][1]["error"]["exit_code"] == 3


@pytest.mark.long
def test_jobs_in_processes_give_the_same_as_one_after_another(folder: Path, trained: bytes) -> None:
    for place in ("one", "two"):
        (folder / place / "out").mkdir(parents=True)
        for name in "abc":
            (folder / place / f"out/{name}.pkl").write_bytes(b"no generator" if name == "b" else trained)
        write(folder / place, *(iris_job(name, data=None, metadata=None) for name in "abc"))
    one = run_jobs(load_jobs([folder / "one/jobs.yaml"]), keep_going=True)
    two = run_jobs(load_jobs([folder / "two/jobs.yaml"]), keep_going=True, workers=2)
    assert [(r.name, r.status, r.outputs, r.rows) for r in one] == [(r.name, r.status, r.outputs, r.rows) for r in two]
    for name in "ac":
        assert (folder / f"one/out/{name}.csv").read_bytes() == (folder / f"two/out/{name}.csv").read_bytes()


def test_workers_are_at_least_one() -> None:
    with refuses(ConfigError, "workers"):
        run_jobs([], workers=0)
    assert summary([JobResult("a", "f", "skipped")])["exit_code"] == 0


@pytest.mark.long
def test_the_table_is_read_checked_and_its_transforms_fitted_once(folder: Path, monkeypatch) -> None:
    from clover_tvae.tables import table as table_module
    from clover_tvae.transforms import TableTransform

    calls: list[str] = []

    def counted(owner: object, name: str) -> None:
        called = getattr(owner, name)

        def count(*given: Any, **named: Any) -> Any:
            if named.get("numbers") != "raw":  # how the cells of relations are read is no transform that is learnt
                calls.append(name)
            return called(*given, **named)

        monkeypatch.setattr(owner, name, count)

    counted(table_module, "csv_cells")
    counted(Metadata, "validate")
    counted(Metadata, "load")
    counted(TableTransform, "fit")
    builtin_table("sklearn.iris").to_csv(folder / "t.csv", index=False, sep=";")
    Metadata.of(IRIS).save(folder / "m.json")
    sample = {"rows": 7, "output": "out/iris.csv", "conditions": {"species": "setosa"}}
    path = write(folder, iris_job(data="t.csv", metadata="m.json", sample=sample))
    (job,) = load_jobs([path], tables="due")
    assert job.table is not None
    assert run_job(job).status == "done"
    assert sorted(calls) == ["csv_cells", "fit", "load", "validate"]
    # Afterwards it is let go; and there is nothing to read in what is up to date.
    assert job.table is None
    (again,) = load_jobs([path], tables="due")
    assert again.table is None
    assert run_job(again).status == "up to date"
    assert calls.count("csv_cells") == 1


def test_a_table_that_changes_after_the_check_is_read_again(folder: Path) -> None:
    frame = builtin_table("sklearn.iris")
    frame.to_csv(folder / "t.csv", index=False)
    path = write(folder, iris_job(data="t.csv"))
    (job,) = load_jobs([path], tables="due")
    frame.iloc[:120].to_csv(folder / "t.csv", index=False)
    assert run_job(job).status == "done"
    assert TVAESynthesizer.load(folder / "out/iris.pkl").card()["rows"] == 120
    assert plan_job(only_job(path)).up_to_date


@pytest.mark.long
def test_what_is_learnt_is_the_same_whether_it_was_checked_before_or_not(folder: Path) -> None:
    for place, tables in (("one", "never"), ("two", "always")):
        (folder / place).mkdir()
        keys = {"synthesizer": QUICK | {"decoder": "autoregressive"}, "report": None, "holdout": 0.2}
        assert run_job(load_jobs([write(folder / place, iris_job(**keys))], tables=tables)[0]).status == "done"
    assert (folder / "one/out/iris.csv").read_bytes() == (folder / "two/out/iris.csv").read_bytes()


def test_another_process_is_sent_no_table(folder: Path) -> None:
    (job,) = load_jobs([write(folder, iris_job())], tables="due")
    sent = pickle.loads(pickle.dumps(job))
    assert (job.table is None, sent.table, sent.spec) == (False, None, job.spec)


SCRIPT = """
import os, signal, sys
from clover_tvae.jobs import load_jobs, run_jobs
if __name__ == "__main__":
    jobs = load_jobs(["jobs.yaml"])
    results = run_jobs(jobs, workers=2, on_start=lambda job: print("start", job.name, flush=True))
    print([(result.name, result.status, result.error and result.error.kind) for result in results], flush=True)
"""


def children_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if status.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(status.parent.name))
    return found


def workers_of(pid: int) -> list[int]:
    """Return the workers that have started on a job: they hold more than an interpreter does."""
    found = []
    for child in children_of(pid):
        with contextlib.suppress(OSError):
            if "LokyProcess" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_a_process_that_is_killed_leaves_no_other_hanging(folder: Path, victim: str) -> None:
    long = {"epochs": 1_000_000, "random_state": 1}
    write(folder, *(iris_job(name, synthesizer=long) for name in "abc"))
    (folder / "run.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "run.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        until(lambda: len(workers_of(process.pid)) == 2 and len(list(folder.rglob("out"))) == 1)
        workers = workers_of(process.pid)
        os.kill(workers[0] if victim == "worker" else process.pid, signal.SIGKILL)

        def ends() -> bool:
            """Kill what is tried once more, too."""
            for worker in workers_of(process.pid) if victim == "worker" else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            return process.poll() is not None

        until(ends)
        out, _ = process.communicate(timeout=120)
        if victim == "worker":
            killed = "[('a', 'failed', 'WorkerLostError'), ('b', 'failed', 'WorkerLostError'), ('c', 'skipped', None)]"
            assert killed in out
            assert not list(folder.rglob("*.lock"))
        until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    finally:
        process.kill()


@pytest.mark.long
def test_workers_skip_what_is_left_after_a_failure(folder: Path, trained: bytes) -> None:
    (folder / "out").mkdir()
    names = "abcdef"
    for name in names:
        (folder / f"out/{name}.pkl").write_bytes(b"no generator" if name == "a" else trained)
    jobs = load_jobs([write(folder, *(iris_job(name, data=None, metadata=None) for name in names))])
    results = run_jobs(jobs, workers=2)
    assert [result.name for result in results] == list(names)
    assert (results[0].status, results[-1].status) == ("failed", "skipped")
    assert exit_code(results) == 3


def test_an_output_may_not_move_outside_after_the_checks(folder: Path, present) -> None:
    job = only_job(present(sample={"rows": 1, "output": "sub/rows.csv"}))
    outside = folder.parent / f"{folder.name}-outside"
    outside.mkdir()
    (folder / "sub").symlink_to(outside)
    result = run_job(job)
    assert result.error is not None
    assert "symbolic link" in result.error.message
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("linked", [".clover-tvae", "t.csv", "h.csv", "out"])
def test_a_link_made_after_the_check_is_not_followed(folder: Path, linked: str) -> None:
    for name in ("t.csv", "h.csv"):
        builtin_table("sklearn.iris").to_csv(folder / name, index=False)
    job = only_job(write(folder, iris_job(data="t.csv", holdout="h.csv", limits={"fidelity.shape": {"max": 100}})))
    outside = folder.parent / f"{folder.name}-outside"
    if linked.endswith(".csv"):
        (folder / linked).rename(outside)
    else:
        outside.mkdir()
    (folder / linked).symlink_to(outside)
    result = run_job(job)
    assert (result.status, result.error and result.error.kind) == ("failed", "TableFileError")
    assert "symbolic link" in str(result.error)
    assert not outside.is_dir() or list(outside.iterdir()) == []


def test_the_file_that_keeps_records_out_of_git_is_not_written_through_a_link(folder: Path, present) -> None:
    (folder / ".clover-tvae").mkdir()
    outside = folder.parent / f"{folder.name}-outside"
    (folder / ".clover-tvae/.gitignore").symlink_to(outside)
    assert "symbolic link" in str(run_job(only_job(present())).error)
    assert not outside.exists()


# --- built-in tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_builtin_tables_are_tables(name: str) -> None:
    frame = builtin_table(name)
    assert len(frame) >= 150
    assert frame.columns.is_unique
    assert not any(str(dtype) == "category" for dtype in frame.dtypes)


def test_an_unknown_builtin_table() -> None:
    with refuses(ConfigError, "sklearn.win"):
        builtin_table("sklearn.win")


def test_the_employees_are_what_the_text_says() -> None:
    staff = make_employees()
    assert staff.equals(make_employees())
    assert len(staff) == 5000
    assert (staff["gender"] == "F").mean() == pytest.approx(0.12, abs=0.01)
    assert staff["city"].nunique() == 30
    assert staff["city"].isna().any()
    assert staff["rating"].isna().any()
    assert staff["employee_id"].is_unique
    by_level = staff.groupby("level")["salary"].mean()
    assert by_level["principal"] > by_level["senior"] > by_level["junior"]
    assert pd.to_datetime(staff["hire_date"], format="%Y-%m-%d").between("2004-01-01", "2024-01-01").all()


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"synthesizer": {"backend": "sdv", "decoder": "independent"}}, "decoder"),
        ({"synthesizer": {"backend": "sdv", "patience": 3}}, "patience"),
        ({"synthesizer": {"enforce_rounding": False}}, "enforce_rounding"),
        ({"synthesizer": {"compress_dims": [20_000]}}, "compress_dims"),
        ({"sample": {"conditions": {"petal width (cm)": {"between": [5, 2]}}}}, "lower end first"),
        ({"sample": {"conditions": {"petal width (cm)": "1.5"}}}, "must be a number, such as 65, found '1.5'"),
    ],
)
def test_what_would_fail_in_its_turn_is_told_before_any_job_starts(folder: Path, keys: dict, place: str) -> None:
    job = iris_job(**{key: (iris_job()[key] if key == "sample" else {}) | value for key, value in keys.items()})
    problems = problems_of(json.dumps({"version": 1, "jobs": [job]}), folder)
    assert len(problems) == 1
    assert place in problems[0]


def test_a_name_that_no_file_system_takes_is_a_problem_of_the_job_file(folder: Path) -> None:
    sample = {"rows": 1, "output": "x" * 300 + ".csv"}
    problems = problems_of(json.dumps({"version": 1, "jobs": [iris_job(sample=sample)]}), folder)
    assert len(problems) == 1
    assert "too long" in problems[0]


@pytest.mark.long
def test_a_workbook_that_no_package_writes_is_told_before_a_job_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    sample = {"rows": 5, "output": "rows.xlsx"}
    (problem,) = problems_of(json.dumps({"version": 1, "jobs": [iris_job(sample=sample)]}), tmp_path)
    assert "output: an Excel file needs xlsxwriter, which is not installed" in problem


def test_job_files_of_one_name_under_one_root_keep_their_own_records(tmp_path: Path) -> None:
    files = []
    for part in "ab":
        (tmp_path / part).mkdir()
        sample = {"rows": 3, "output": f"{part}/rows.csv", "seed": 1}
        files.append(write(tmp_path / part, iris_job(generator_filepath=f"{part}/iris.pkl", sample=sample)))
    assert exit_code(run_jobs(load_jobs(files, root=tmp_path))) == 0
    again = run_jobs(load_jobs(files, root=tmp_path))
    assert [result.status for result in again] == ["up to date", "up to date"]


# --- one process at a time, and memory that runs out ---------------------------------------------------------------------


def test_a_job_that_another_has_is_left_alone_and_said_so(folder: Path, present) -> None:
    job = only_job(present())
    with held(job.record):
        result = run_job(job)
    assert result.error is not None
    assert (result.status, result.error.kind, result.error.exit_code) == ("failed", "ConfigError", 2)
    assert "one process at a time" in result.error.message
    assert run_job(job).status == "done"
    assert not list(job.record.parent.glob("*.lock"))


@pytest.mark.skipif(os.name == "nt", reason="needs locks")
def test_the_lock_of_a_job_goes_at_its_end_and_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    record, inside, met, n_held = tmp_path / ".clover-tvae/jobs.yaml.a.json", Counter[str](), list[int](), list[int]()

    def run(_: int) -> None:
        for _ in range(200):
            with contextlib.suppress(ConfigError), held(record):
                inside["job"] += 1
                met.append(inside["job"])
                time.sleep(0)
                inside["job"] -= 1
                n_held.append(1)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run, range(20)))
    assert len(n_held) > 20
    assert set(met) == {1}
    with contextlib.suppress(KeyboardInterrupt), held(record):
        assert [path.name for path in record.parent.iterdir()] == ["jobs.yaml.a.lock"]
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="needs locks")
@pytest.mark.parametrize("is_made_anew", [True, False])
def test_a_lock_whose_file_was_taken_away_since_it_was_opened_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_made_anew: bool
) -> None:
    place, flock = tmp_path / "lock", files.fcntl.flock

    def late(descriptor: int, flags: int) -> None:
        place.unlink()
        if is_made_anew:
            place.touch()
        flock(descriptor, flags)

    monkeypatch.setattr(files.fcntl, "flock", late)
    with files.locked(place, make=True) as is_held:
        assert is_held is False


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("could not create a primitive"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_memory_that_runs_out_is_told_as_ours_whoever_says_so(error: Exception) -> None:
    with pytest.raises(OutOfMemoryError, match="out of memory") as caught, memory_told():
        raise error
    assert caught.value.exit_code == 4
    assert isinstance(caught.value, MemoryError)


def test_other_errors_are_not_told_as_memory() -> None:
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ConfigError("must be 1, found 2", "n")):
        with pytest.raises(type(error)) as caught, memory_told():
            raise error
        assert caught.value is error
