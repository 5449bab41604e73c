"""What a description says, how it is read and kept, and what it finds in a table."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import warnings
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import refuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from clover_tvae.errors import (
    ColumnsMismatchError,
    ColumnTypeError,
    DataError,
    DuplicateColumnsError,
    IdentifierColumnError,
    MetadataError,
    NonFiniteError,
    TableFileError,
    TooFewRowsError,
    UserError,
)
from clover_tvae.metadata import KINDS, Column, Metadata, MetadataWarning, metadata_schema
from clover_tvae.transforms import TableTransform

FOLDER = Path(__file__).parent.parent / "metadata"
CANARY = "CANARY-7f3a"

PATIENTS = {
    "continuous": ["age", "bmi"],
    "categorical": ["sex", "diagnosis"],
    "boolean": ["smoker"],
    "ordinal": [{"name": "stage", "order": ["I", "II", "III"]}],
    "datetime": [{"name": "admitted", "format": "%d/%m/%Y"}],
    "id": [{"name": "patient", "pattern": "P-#####"}],
    "ignore": ["notes"],
    "variable_to_predict": "diagnosis",
}


def patients(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 95, n),
            "bmi": rng.normal(26, 4, n).round(1),
            "sex": rng.choice(["F", "M"], n),
            "diagnosis": rng.choice(["benign", "malignant"], n),
            "smoker": rng.random(n) < 0.3,
            "stage": rng.choice(["I", "II", "III"], n),
            "admitted": pd.to_datetime("2021-03-01").strftime("%d/%m/%Y"),
            "patient": [f"P-{row:05d}" for row in range(n)],
            "notes": "came back twice since",
        }
    )


def problems_of(error: pytest.ExceptionInfo[UserError]) -> str:
    return str(error.value)


# --------------------------------------------------------------------------------------------- the object


def test_clovers_dict_is_the_plain_form():
    plain = {"continuous": ["age"], "categorical": ["sex"], "variable_to_predict": None}
    meta = Metadata.of(plain)
    assert meta.to_dict() == plain
    assert meta.of_kind("continuous", "categorical") == ("age", "sex")
    assert meta.names == ("age", "sex")
    assert [column.name for column in meta.modelled] == ["age", "sex"]


def test_every_kind_reads_and_round_trips():
    meta = Metadata.of(PATIENTS)
    assert meta.to_dict() == PATIENTS
    assert {kind for kind in KINDS if meta.of_kind(kind)} == set(KINDS)
    assert meta.column("stage").order == ("I", "II", "III")
    assert meta.column("patient").regenerate == "pattern"
    assert [column.name for column in meta.modelled] == [
        "age",
        "bmi",
        "sex",
        "diagnosis",
        "smoker",
        "stage",
        "admitted",
    ]


def test_a_kind_may_be_a_mapping_of_names_to_options():
    meta = Metadata.of({"datetime": {"born": {"format": "%Y"}, "seen": None}, "id": {"no": {"regenerate": "uuid"}}})
    assert meta.column("born").format == "%Y"
    assert meta.column("seen") == Column("seen", "datetime")
    assert meta.column("no").regenerate == "uuid"


def test_a_kind_may_be_the_columns_of_a_frame():
    df = load_iris(as_frame=True).frame
    meta = Metadata.of({"continuous": df.columns[:4], "categorical": np.array(["target"])})
    assert len(meta.of_kind("continuous")) == 4
    meta.validate(df)


def test_of_takes_metadata_dicts_and_paths(tmp_path):
    meta = Metadata.of(PATIENTS)
    meta.save(tmp_path / "patients.json")
    assert Metadata.of(meta) is meta
    assert Metadata.of(tmp_path / "patients.json") == Metadata.of(str(tmp_path / "patients.json")) == meta


@pytest.mark.parametrize("wrong", [None, 3, ["age"], pd.DataFrame({"age": [1]})])
def test_of_refuses_anything_else(wrong):
    with refuses(MetadataError, "metadata"):
        Metadata.of(wrong)


def test_it_is_frozen_hashable_and_survives_copies():
    meta = Metadata.of(PATIENTS)
    with pytest.raises(FrozenInstanceError):
        meta.columns = ()
    with pytest.raises(FrozenInstanceError):
        meta.column("age").kind = "ignore"
    assert len({meta, Metadata.of(PATIENTS), copy.deepcopy(meta), pickle.loads(pickle.dumps(meta))}) == 1
    assert meta != PATIENTS


def test_equality_ignores_listing_order_and_reasons_but_nothing_else():
    one = Metadata((Column("a", "continuous"), Column("b", "categorical")), "b")
    other = Metadata((Column("b", "categorical"), Column("a", "continuous")), "b", {"a": "because"})
    assert one == other
    assert hash(one) == hash(other)
    assert one != Metadata((Column("a", "continuous"), Column("b", "categorical")))
    assert one != Metadata((Column("a", "continuous"), Column("b", "ordinal")), "b")


def test_numpy_names_become_python_names():
    column = Column(np.int64(3), "ordinal", order=[np.int64(1), np.float64(2.5)])
    assert type(column.name) is int
    assert [type(value) for value in column.order] == [int, float]


def test_asking_for_an_unknown_column_or_kind():
    meta = Metadata.of(PATIENTS)
    with refuses(MetadataError, "column 'agee'") as caught:
        meta.column("agee")
    assert "'age'" in str(caught.value)
    with refuses(MetadataError, "kinds") as caught:
        meta.of_kind("continous")
    assert "'continuous'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"kind": "numeric"}, "column 'x'"),
        ({"kind": "continuous", "format": "%Y"}, "column 'x'.format"),
        ({"kind": "datetime", "order": ("a",)}, "column 'x'.order"),
        ({"kind": "datetime", "format": 3}, "column 'x'.format"),
        ({"kind": "datetime", "format": "YYYY-MM-DD"}, "column 'x'.format"),
        ({"kind": "datetime", "format": "%Q"}, "column 'x'.format"),
        ({"kind": "datetime", "time_zone": "Europe/Pariss"}, "column 'x'.time_zone"),
        ({"kind": "datetime", "time_zone": "../etc/passwd"}, "column 'x'.time_zone"),
        ({"kind": "datetime", "time_zone": 2}, "column 'x'.time_zone"),
        ({"kind": "ordinal", "order": "abc"}, "column 'x'.order"),
        ({"kind": "ordinal", "order": ()}, "column 'x'.order"),
        ({"kind": "ordinal", "order": ("a", None)}, "column 'x'.order"),
        ({"kind": "ordinal", "order": (1.0, float("nan"))}, "column 'x'.order"),
        ({"kind": "ordinal", "order": ("a", "b", "a")}, "column 'x'.order"),
        ({"kind": "id", "regenerate": "random"}, "column 'x'.regenerate"),
        ({"kind": "id", "regenerate": "pattern"}, "column 'x'.pattern"),
        ({"kind": "id", "regenerate": "uuid", "pattern": "E-#"}, "column 'x'.regenerate"),
        ({"kind": "id", "pattern": "E-"}, "column 'x'.pattern"),
        ({"kind": "id", "pattern": "#-#"}, "column 'x'.pattern"),
        ({"kind": "id", "pattern": 7}, "column 'x'.pattern"),
        ({"name": None, "kind": "id"}, "column None"),
        ({"name": float("nan"), "kind": "id"}, "column nan"),
        ({"name": ["a"], "kind": "id"}, "column ['a']"),
    ],
)
def test_a_column_checks_its_options(options, place):
    with refuses(MetadataError, place):
        Column(**{"name": "x", **options})


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC", "UTC+02:00"])
def test_time_zones_that_pandas_writes_are_known(zone):
    assert Column("x", "datetime", time_zone=zone).time_zone == zone


def test_one_and_true_are_two_levels():
    assert Column("x", "ordinal", order=(1, True, "1", 1.0)).order == (1, True, "1", 1.0)


def test_the_constructor_refuses_duplicates_and_unknown_targets():
    with refuses(MetadataError, "column 'a'", "variable_to_predict"):
        Metadata((Column("a", "continuous"), Column("a", "id")), "b")
    with refuses(MetadataError, "columns"):
        Metadata(("age",))


# --------------------------------------------------------------------------------------------- the dict


def test_four_faults_come_in_one_error_with_places_and_nearest_names():
    wrong = {
        "continous": ["weight"],
        "continuous": ["age", "age"],
        "categorical": ["sex"],
        "datetime": {"admitted": {"format": "%Y-%m-%d", "timezone": "UTC"}},
        "variable_to_predict": "sx",
    }
    with pytest.raises(MetadataError) as error:
        Metadata.from_dict(wrong)
    found = {problem.where: problem.message for problem in error.value.problems}
    assert found.keys() == {"continous", "continuous[0]", "datetime.admitted.timezone", "variable_to_predict"}
    assert "did you mean 'continuous'" in found["continous"]
    assert "listed 2 times" in found["continuous[0]"]
    assert "did you mean 'time_zone'" in found["datetime.admitted.timezone"]
    assert "did you mean 'sex'" in found["variable_to_predict"]


@pytest.mark.parametrize(
    ("document", "place", "fault"),
    [
        ({"continuous": "age"}, "continuous", "must be a list of column names, found text"),
        ({"continuous": 3}, "continuous", "found a number"),
        ({"continuous": {"a", "b"}}, "continuous", "must be a list"),
        ({"continuous": ["a", None]}, "continuous[1]", "missing value"),
        ({"continuous": [["a"]]}, "continuous[0]", "found a list"),
        ({"continuous": [float("nan")]}, "continuous[0]", "missing value"),
        ({"continuous": [{"nam": "a"}]}, "continuous[0]", "key 'name' is missing"),
        ({"continuous": [{"name": "a", "format": "%Y"}]}, "continuous[0].format", "belongs to datetime"),
        ({"ignore": [{"name": "a", "unit": "mg"}]}, "ignore[0].unit", "belongs to continuous"),
        ({"ignore": [{"name": "a", "units": "mg"}]}, "ignore[0].units", "takes no options"),
        ({"datetime": {"a": "%Y"}}, "datetime.a", "must be an object of options, found text"),
        ({"datetime": {"a": {"name": "b"}}}, "datetime.a.name", "leave 'name' out"),
        ({"datetime": [{"name": "a", "format": "x"}]}, "datetime[0].format", "no part of a date"),
        ({"ordinal": {"a b": {"order": [{}]}}}, "ordinal.'a b'.order", "entry 0 is a dict"),
        ({"continuous": ["a"], "id": ["a"]}, "continuous[0]", "listed as continuous and as id"),
        ({"id": ["a"], "variable_to_predict": "a"}, "variable_to_predict", "not modelled"),
        (
            {"continuous": ["a"], "variable_to_predict": ["a"]},
            "variable_to_predict",
            "one column, or null, found a list",
        ),
        ({3: ["a"]}, "3", "unknown key"),
    ],
)
def test_each_fault_has_its_place(document, place, fault):
    with pytest.raises(MetadataError) as error:
        Metadata.from_dict(document)
    assert [problem.where for problem in error.value.problems] == [place]
    assert fault in str(error.value)


def test_a_broken_entry_does_not_make_the_target_unknown():
    with pytest.raises(MetadataError) as error:
        Metadata.from_dict({"ordinal": [{"name": "stage", "order": []}], "variable_to_predict": "stage"})
    assert [problem.where for problem in error.value.problems] == ["ordinal[0].order"]


def test_metadata_of_sdv_is_recognised():
    with refuses(MetadataError, "METADATA_SPEC_VERSION"):
        Metadata.of({"tables": {}, "METADATA_SPEC_VERSION": "V2"})


def test_anything_but_a_mapping_is_refused():
    with refuses(MetadataError, "metadata"):
        Metadata.from_dict(["age"])


json_names = st.one_of(
    st.text(max_size=8), st.integers(-(10**20), 10**20), st.sampled_from(["é", "💊", "\ud800", "a b", "", "1"])
)
levels = st.one_of(
    st.text(max_size=4), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False, width=16), st.booleans()
)


@st.composite
def columns_of_any_kind(draw, name):
    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "ordinal":
            unique = st.lists(levels, min_size=1, max_size=4, unique_by=lambda value: (type(value), value))
            return Column(name, kind, order=draw(st.none() | unique.map(tuple)))
        case "datetime":
            formats = st.none() | st.sampled_from(["%Y-%m-%d", "%d/%m/%y %H:%M"])
            return Column(name, kind, draw(formats), draw(st.none() | st.sampled_from(["UTC", "Europe/Paris"])))
        case "id":
            pattern = draw(st.none() | st.sampled_from(["E-####", "#", "é##x"]))
            return Column(
                name, kind, pattern=pattern, regenerate=None if pattern else draw(st.sampled_from([None, "uuid"]))
            )
        case _:
            return Column(name, kind)


@st.composite
def descriptions(draw):
    names = draw(st.lists(json_names, max_size=6, unique=True))
    columns = tuple(draw(columns_of_any_kind(name)) for name in names)
    modelled = [column.name for column in columns if column.modelled]
    return Metadata(columns, draw(st.none() | st.sampled_from(modelled)) if modelled else None)


@pytest.mark.long
@given(descriptions())
@settings(max_examples=60, deadline=None)
def test_dicts_round_trip_exactly(meta):
    again = Metadata.from_dict(meta.to_dict())
    assert again == meta
    assert again.columns == meta.columns
    assert [[type(v) for v in c.order or ()] for c in again.columns] == [
        [type(v) for v in c.order or ()] for c in meta.columns
    ]
    assert again.to_dict() == meta.to_dict()


@pytest.mark.long
@given(descriptions())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_round_trips_exactly_and_fits_the_schema(tmp_path, meta):
    path = tmp_path / "table.json"
    meta.save(path)
    again = Metadata.load(path)
    assert again == meta
    assert [type(name) for name in again.names] == [type(name) for name in meta.names]
    jsonschema.Draft202012Validator(metadata_schema()).validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("name", [1, -1, 2**70, 1.5, 1e300, np.float32(2.5), "", "\ud800"])
def test_every_name_that_a_description_takes_json_takes_too(tmp_path, name):
    meta = Metadata.of({"continuous": [name], "categorical": ["x"]})
    assert Metadata.from_dict(meta.to_dict()) == meta
    meta.save(tmp_path / "table.json")
    assert Metadata.load(tmp_path / "table.json") == meta
    jsonschema.Draft202012Validator(metadata_schema()).validate(json.loads((tmp_path / "table.json").read_text()))


# ---------------------------------------------------------------------------------------------- the file


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_problems_in_a_file_have_line_and_column(tmp_path):
    path = write(
        tmp_path / "m.json",
        '{\n  "continuous": ["age",\n     "age"],\n  "categorial": [],\n'
        '  "datetime": {"seen": {"format": "%Y", "zone": "UTC"}},\n  "variable_to_predict": "agee"\n}\n',
    )
    with pytest.raises(MetadataError) as error:
        Metadata.load(path)
    where = {problem.where: problem.message for problem in error.value.problems}
    assert where.keys() == {f"{path}:2:18", f"{path}:4:3", f"{path}:5:41", f"{path}:6:3"}
    assert where[f"{path}:5:41"].startswith("datetime.seen.zone: unknown option")


def test_a_place_inside_nested_lists_and_odd_spacing(tmp_path):
    path = write(
        tmp_path / "m.json", '{"a\\"]{" : 1 ,"ordinal":[ {"order" :[1 , -2.5e3,true,null],\n"name":"x"} , "y"] }'
    )
    with pytest.raises(MetadataError) as error:
        Metadata.load(path)
    assert [problem.where for problem in error.value.problems] == [f"{path}:1:2", f"{path}:1:28"]


def test_a_missing_option_points_at_the_object_that_lacks_it(tmp_path):
    path = write(tmp_path / "m.json", '{"id":\n [{"name": "x", "regenerate": "pattern"}]}')
    with refuses(MetadataError, f"{path}:2:3") as caught:
        Metadata.load(path)
    assert "id[0].pattern" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ":1:1"),
        ('{"continuous": [}', ":1:17"),
        ('{"continuous": [NaN]}', ""),
        ("[" * 100_000, ""),
        ('{"continuous": [' + "9" * 5000 + "]}", ""),
        ('{"id": [], "id": ["x"]}', ":1:1"),
        ("[1]", ":1:1"),
        ("null", ":1:1"),
        (b'{"continuous": ["\xff"]}', ":1:1"),
    ],
)
def test_a_broken_file_says_where(tmp_path, text, place):
    path = write(tmp_path / "m.json", text)
    with refuses(MetadataError, f"{path}{place}"):
        Metadata.load(path)


@pytest.mark.long
def test_one_key_of_very_many_that_is_given_twice_is_found(tmp_path):
    keys = ", ".join(f'"c{i}": null' for i in range(100_000))
    path = write(tmp_path / "m.json", f'{{"continuous": {{{keys}, "c7": null}}}}')
    with refuses(MetadataError, f"{path}:1:1") as caught:
        Metadata.load(path)
    assert "'c7'" in str(caught.value)


def test_a_byte_order_mark_is_fine(tmp_path):
    assert Metadata.load(write(tmp_path / "m.json", '\ufeff{"continuous": ["a"]}')).names == ("a",)


def test_files_that_are_no_files_or_huge(tmp_path):
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(65 * 2**20)
    for path in (tmp_path / "none.json", tmp_path, "a\0b", huge, tmp_path / ("x" * 300 + ".json")):
        with refuses(MetadataError, str(path)):
            Metadata.load(path)


def test_saving_into_a_missing_folder_is_a_clear_error(tmp_path):
    with refuses(TableFileError, str(tmp_path / "none" / "m.json")):
        Metadata.of(PATIENTS).save(tmp_path / "none" / "m.json")


# -------------------------------------------------------------------------------------------- the schema


def test_the_schema_in_the_project_is_up_to_date():
    """If this fails: ``clover-tvae schema metadata > metadata/metadata.schema.json``."""
    assert json.loads((FOLDER / "metadata.schema.json").read_text("utf-8")) == metadata_schema()


def test_the_schema_is_a_valid_schema_that_explains_itself():
    schema = metadata_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {"$schema", *KINDS, "variable_to_predict", "relations", "unit"}
    assert all(len(described["description"]) > 20 for described in schema["properties"].values())


@pytest.mark.parametrize(
    "document",
    [
        PATIENTS,
        {},
        {"$schema": "x.json", "datetime": {"a": {"format": "%Y"}, "b": {}}},
        {"id": [{"name": 3, "regenerate": "uuid"}, 4]},
    ],
)
def test_schema_and_reader_accept_the_same(document):
    jsonschema.validate(document, metadata_schema())
    Metadata.from_dict(document)


@pytest.mark.parametrize(
    "document",
    [
        {"continous": []},
        {"continuous": "age"},
        {"continuous": [["age"]]},
        {"continuous": [{"name": "a", "format": "%Y"}]},
        {"datetime": [{"format": "%Y"}]},
        {"datetime": {"a": {"format": 3}}},
        {"ordinal": [{"name": "a", "order": []}]},
        {"ordinal": [{"name": "a", "order": [None]}]},
        {"id": [{"name": "a", "regenerate": "random"}]},
        {"id": [{"name": "a", "pattern": "no run"}]},
        {"variable_to_predict": ["a"]},
        [],
    ],
)
def test_schema_and_reader_refuse_the_same(document):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, metadata_schema())
    with pytest.raises(MetadataError):
        Metadata.from_dict(document)


def test_the_metadata_files_of_the_project_are_valid():
    for path in FOLDER.glob("*.json"):
        if not path.name.endswith(".schema.json"):
            document = json.loads(path.read_text("utf-8"))
            jsonschema.validate(document, metadata_schema())
            Metadata.load(path)


def test_patients_json_describes_the_breast_cancer_table():
    data = load_breast_cancer(as_frame=True)
    df = data.data.assign(diagnosis=data.target.map(dict(enumerate(data.target_names))))
    meta = Metadata.load(FOLDER / "patients.json")
    meta.validate(df)
    assert meta.of_kind("continuous") == tuple(data.feature_names)
    assert meta.variable_to_predict == "diagnosis"


# ---------------------------------------------------------------------------------------------- inferring


def look(values, name="x", **frame):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta = Metadata.infer(pd.DataFrame({name: values, **frame}))
    assert all(issubclass(warning.category, MetadataWarning) for warning in caught)
    assert all(warning.filename == __file__ for warning in caught), "a warning must point at the caller"
    return meta.column(name), meta.reasons[name], " ".join(str(warning.message) for warning in caught)


RNG = np.random.default_rng(0)
N = 200
WORDS = ["alpha", "beta", "gamma", "delta"]
SENTENCES = [f"the patient number {i} came back after {i} days and felt a little better" for i in range(N)]
DAYS = pd.date_range("2020-01-01", periods=N, freq="17h")


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (RNG.normal(size=N), "continuous", "float64 with 200 distinct values"),
        (RNG.integers(0, 1000, N), "continuous", "int64 with"),
        (pd.array([None, *RNG.integers(0, 1000, N)], "Int64"), "continuous", "Int64 with"),
        (RNG.integers(1, 6, N), "categorical", "only 5 distinct values, taken for codes"),
        (RNG.integers(0, 2, N) + 0.0, "categorical", "only 2 distinct values"),
        ([7] * N, "categorical", "only 1 distinct value,"),
        ([1, 2, 3, 4, 5, 6], "continuous", "int64 with 6"),
        ([Decimal("1.25"), Decimal("2.5"), None], "continuous", "object with 2"),
        (RNG.random(N) < 0.5, "boolean", "bool"),
        ([True, None, False], "boolean", "object"),
        (pd.array([True, None], "boolean"), "boolean", "boolean"),
        (RNG.choice(WORDS, N), "categorical", "text with 4 distinct values"),
        (pd.array(RNG.choice(WORDS, N), "string"), "categorical", "text"),
        (pd.array(RNG.choice(WORDS, N), "string[pyarrow]"), "categorical", "text"),
        (pd.Categorical(RNG.choice(WORDS, N)), "categorical", "category dtype with 4 values"),
        (pd.Categorical(RNG.choice(WORDS, N), WORDS, ordered=True), "ordinal", "ordered category dtype with 4 levels"),
        (DAYS, "datetime", f"{DAYS.dtype}: dates"),
        (list(DAYS.date), "datetime", "object: dates"),
        (pd.Series(DAYS).astype("timestamp[us][pyarrow]"), "datetime", "timestamp[us][pyarrow]"),
        ([np.nan] * N, "continuous", "every cell is missing"),
        ([None] * N, "categorical", "every cell is missing"),
        ([1.5, np.inf, 2.5], "continuous", "float64"),
        (["007", "008", "007"] * 30, "categorical", "text with 2"),
        (["EMPL"], "categorical", "text with 1 distinct value"),
    ],
)
def test_plain_columns_are_inferred_without_a_warning(values, kind, reason):
    column, why, warning = look(values)
    assert column.kind == kind
    assert reason in why
    assert warning == ""


@pytest.mark.parametrize(
    ("name", "values", "kind", "warning"),
    [
        ("row", range(N), "id", "every whole number"),
        ("patient_id", RNG.permutation(10**6)[:N], "id", "another number in every row, and its name"),
        ("PatientId", [*(i * i * 17 for i in range(190)), *[5000] * 10], "id", "of the rows, and its name"),
        ("EmployeeNumber", RNG.permutation(10**6)[:N], "id", "looks like an identifier"),
        ("name", [f"Person {chr(65 + i % 26)}{i}" for i in range(N)], "id", "another value in every row"),
        ("name", pd.Categorical([f"P {i}" for i in range(N)]), "id", "another value in every row"),
        ("name", [f"P {i % 190}" for i in range(N)], "id", "another value in 95% of the rows"),
        ("notes", SENTENCES, "ignore", "free text"),
        ("seen", DAYS.strftime("%Y-%m-%d"), "datetime", "'%Y-%m-%d'"),
        ("dose", [f"{i / 7:.3f}" for i in range(N)], "continuous", "numbers written as text"),
        ("cost", [f"{i % 5},000" for i in range(N)], "categorical", "numbers written as text"),
        ("mix", [1, "a", None, 2.5] * 50, "categorical", "mixes cells of several types"),
        ("tags", [["a"], ["b"]] * 5, "ignore", "nested cells"),
        ("wait", pd.to_timedelta(range(N), "h"), "ignore", "timedelta cells"),
        ("month", pd.period_range("2020", periods=N, freq="M"), "ignore", "period cells"),
        ("wave", np.arange(N) * 1j, "ignore", "complex cells"),
        ("bin", pd.cut(pd.Series(range(N)), 4).astype(object), "ignore", "interval cells"),
        ("raw", [b"x"] * N, "ignore", "bytes cells"),
        ("thin", pd.arrays.SparseArray(np.zeros(N)), "ignore", "sparse cells"),
        ("part", [Fraction(1, 3)] * N, "ignore", "nested cells"),
    ],
)  # fmt: skip
def test_columns_that_need_an_eye_are_warned_about(name, values, kind, warning):
    column, _, text = look(values, name)
    assert column.kind == kind
    assert warning in text
    assert repr(name) in text


def test_numbers_that_count_the_rows_are_made_anew_and_text_is_dropped():
    assert look(range(N))[0].regenerate == "sequence"
    assert look([f"u{i}" for i in range(N)])[0].regenerate is None


@pytest.mark.parametrize(
    "format",
    ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S", "%Y%m%d", "%d %b %Y", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z"],
)
def test_a_date_in_disguise_is_found_with_its_format(format):
    days = DAYS.tz_localize("Europe/Paris") if "%z" in format else DAYS
    texts = pd.Series(days.strftime(format))
    column, _, warning = look(texts)
    assert column.format == format
    assert "dates written as text" in warning
    Metadata((column, Column("y", "continuous"))).validate(pd.DataFrame({"x": texts, "y": 1.5}))


def test_day_and_month_are_told_apart_or_the_doubt_is_said():
    assert look(DAYS.strftime("%m/%d/%Y"))[0].format == "%m/%d/%Y"
    assert look(DAYS.strftime("%d/%m/%Y"))[0].format == "%d/%m/%Y"
    column, _, warning = look(["01/02/2020", "03/04/2021"] * 20)
    assert column.kind == "categorical", "nothing is guessed"
    assert "say day-first or month-first" in warning


def test_dates_with_a_few_gaps_of_text_are_still_dates():
    texts = list(DAYS.strftime("%Y-%m-%d"))
    texts[5] = "unknown"
    column, _, _ = look(texts)
    assert column.format == "%Y-%m-%d"


def test_eight_digits_need_not_be_a_date():
    assert look(["99887766", "12345678"] * 40)[0].kind == "categorical"


def test_time_zones_and_levels_are_taken_over():
    assert look(DAYS.tz_localize("Europe/Paris"))[0].time_zone == "Europe/Paris"
    assert look(pd.Series(DAYS.tz_localize("UTC")).astype("timestamp[us, tz=UTC][pyarrow]"))[0].time_zone == "UTC"
    # Not written down, where the level of one person would be told: fit takes the order of the dtype.
    assert look(pd.Categorical(["lo", "hi"], ["lo", "hi"], ordered=True))[0].order is None
    assert look(pd.Categorical(list(DAYS), ordered=True))[0].order is None


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_diabetes])
def test_what_is_inferred_fits_real_tables(load):
    df = load(as_frame=True).frame
    meta = Metadata.infer(df, variable_to_predict="target")
    meta.validate(df)
    assert set(meta.names) == set(df.columns) == set(meta.reasons)
    assert Metadata.from_dict(meta.to_dict()) == meta
    expected = "continuous" if load is load_diabetes else "categorical"
    assert meta.column("target").kind == expected


@pytest.mark.filterwarnings("ignore::clover_tvae.metadata.MetadataWarning")
def test_what_is_inferred_of_patients_is_what_one_would_say():
    df = patients()
    df["admitted"] = pd.date_range("2021-03-01", periods=len(df)).strftime("%d/%m/%Y")
    df["notes"] = SENTENCES[: len(df)]
    meta = Metadata.infer(df, "diagnosis")
    assert meta.of_kind("continuous") == ("age", "bmi")
    assert meta.of_kind("categorical") == ("sex", "diagnosis")
    assert meta.of_kind("boolean", "ordinal", "datetime", "id", "ignore") == (
        "smoker",
        "stage",
        "admitted",
        "patient",
        "notes",
    )
    meta.validate(df)


def test_inferring_needs_a_frame_and_single_names():
    for wrong in ([1], {"a": [1]}, np.zeros((2, 2))):
        with refuses(DataError, ""):
            Metadata.infer(wrong)
    with pytest.raises(DuplicateColumnsError):
        Metadata.infer(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_what_infer_says_of_a_category_of_intervals_can_be_learnt():
    age = pd.Series(range(80)) % 40
    df = pd.DataFrame({"age": age, "group": pd.cut(age, 4)})
    with pytest.warns(MetadataWarning, match=r"group.*interval"):
        metadata = Metadata.infer(df)
    assert metadata.column("group").kind == "ignore"
    metadata.validate(df)


def test_codes_with_an_e_are_no_numbers():
    df = pd.DataFrame({"icd10": ["E10", "E11", "E78"] * 20, "price": ["1.5", "2e3", ".5"] * 20})
    with pytest.warns(MetadataWarning) as caught:
        metadata = Metadata.infer(df)
    assert metadata.column("icd10").kind == "categorical"
    assert [str(warning.message).split(":")[0] for warning in caught] == ["column 'price'"]


def test_warnings_and_reasons_never_quote_a_cell():
    cells = {
        "text": [f"{CANARY} {i}" for i in range(N)],
        "prose": [f"{CANARY} {text}" for text in SENTENCES],
        "label": [CANARY, "b"] * (N // 2),
        "mixed": [CANARY, 3] * (N // 2),
        "nested": [[CANARY]] * N,
        "category": pd.Categorical([CANARY, "z"] * (N // 2)),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta = Metadata.infer(pd.DataFrame(cells))
    assert len(caught) == 4
    assert CANARY not in " ".join([*map(str, caught), *meta.reasons.values(), repr(meta)])


# ---------------------------------------------------------------------------------------------- validating


def test_a_table_that_fits_says_nothing_and_stays_unchanged():
    df = patients()
    before = df.copy(deep=True)
    Metadata.of(PATIENTS).validate(df)
    Metadata.of(PATIENTS).validate(df[df.columns[::-1]].set_index(np.arange(len(df)) * 3))
    pd.testing.assert_frame_equal(df, before)


def test_dropped_columns_may_be_absent_but_regenerated_ones_may_not():
    meta = Metadata.of({"continuous": ["a"], "ignore": ["b"], "id": ["c", {"name": "d", "regenerate": "uuid"}]})
    meta.validate(pd.DataFrame({"a": [1, 2], "d": ["v", "w"]}))
    with refuses(ColumnsMismatchError, "column 'd'"):
        meta.validate(pd.DataFrame({"a": [1, 2]}))


def test_missing_and_extra_columns_are_told_as_a_difference():
    df = patients().rename(columns={"bmi": "BMI"}).assign(ward="A")
    with pytest.raises(ColumnsMismatchError) as error:
        Metadata.of(PATIENTS).validate(df)
    assert len(error.value.problems) == 3
    text = str(error.value)
    assert "column 'bmi': the table has no such column, declared 'continuous'; did you mean 'BMI'?" in text
    assert "column 'BMI': the metadata does not know this column; declare it" in text  # 'bmi' is no name of the table
    assert (
        "column 'ward': the metadata does not know this column; declare it (as 'ignore' to leave it out), or drop it"
        in text
    )


def test_a_number_and_its_text_are_two_names():
    with refuses(ColumnsMismatchError, "column 1", "column '1'"):
        Metadata.of({"continuous": [1]}).validate(pd.DataFrame({"1": [1.0, 2.0]}))


def test_a_long_difference_is_cut_short():
    with refuses(ColumnsMismatchError, "columns", *(f"column {name!r}" for i in range(20) for name in (i, f"a{i}"))):
        Metadata.of({"continuous": [f"a{i}" for i in range(500)]}).validate(pd.DataFrame(np.zeros((3, 500))))


def test_names_of_all_sorts_work():
    names = ["a", 1, "💊", "\ud800", "", "x" * 300, 2.5, 2**70]
    df = pd.DataFrame(
        np.random.default_rng(0).normal(size=(5, len(names))), columns=pd.Index(names, tupleize_cols=False)
    )
    Metadata.of({"continuous": names}).validate(df)
    assert Metadata.infer(df).of_kind("continuous") == tuple(names)


@pytest.mark.parametrize(
    "name", [("a", 1), pd.Timestamp(0), b"a", frozenset(), True, None, pd.NA, pd.NaT, float("inf")], ids=repr
)
def test_names_that_fit_refuses_are_refused_at_once(name):
    df = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0]}).set_axis(
        pd.Index(["a", name], dtype=object, tupleize_cols=False), axis=1
    )
    for take in (Metadata.infer, lambda df: Metadata.of({"continuous": ["a", name]}).validate(df)):
        with pytest.raises(UserError, match="a column name must be text"):
            take(df)


@pytest.mark.parametrize("wrong", [[1], {"a": [1]}, None, np.zeros(3), pd.Series([1], name="a")])
def test_only_frames_are_tables(wrong):
    with refuses(DataError, ""):
        Metadata.of({"continuous": ["a"]}).validate(wrong)


def test_a_table_of_another_library_is_checked_as_it_is():
    Metadata.of({"continuous": ["a"]}).validate(pa.table({"a": [1.0, 2.0]}))
    with refuses(ColumnTypeError, "column 'a'"):
        Metadata.of({"continuous": ["a"]}).validate(pa.table({"a": ["x", "y"]}))


def test_frames_with_odd_column_indexes():
    meta = Metadata.of({"continuous": ["a"]})
    with refuses(DataError, "columns"):
        meta.validate(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))
    with refuses(DataError, "columns"):
        meta.validate(pd.DataFrame([[1, 2]], columns=["a", None]))
    with refuses(DuplicateColumnsError, "column 'a'"):
        meta.validate(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))


@pytest.mark.parametrize("n_rows", [0, 1])
def test_too_few_rows(n_rows):
    with refuses(TooFewRowsError, "table"):
        Metadata.of(PATIENTS).validate(patients().head(n_rows))


def test_two_rows_are_enough():
    Metadata.of(PATIENTS).validate(patients().head(2))


def test_nothing_to_model():
    with refuses(DataError, "metadata"):
        Metadata.of({"id": ["a"]}).validate(pd.DataFrame({"a": [1, 2]}))
    with refuses(DataError, "metadata"):
        Metadata.of({}).validate(pd.DataFrame(index=range(5)))


MISSING = [None, np.nan, pd.NA, pd.NaT]


@pytest.mark.parametrize("missing", MISSING, ids=str)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("id", "ignore")])
def test_every_kind_may_miss_cells_some_or_all(kind, missing):
    filled = {
        "continuous": [1.5, 2.5], "categorical": ["a", "b"], "boolean": [True, False], "ordinal": [1, 2],
        "datetime": [pd.Timestamp("2020-01-01")] * 2,
    }[kind]  # fmt: skip
    meta = Metadata((Column("x", kind), Column("y", "continuous")))
    for cells in ([*filled, missing], [missing] * 3):
        meta.validate(pd.DataFrame({"x": pd.Series(cells, dtype=object), "y": 1.0}))


GOOD = {
    "continuous": [
        [1, 2, 3], [1.5, 1e300, -1e300], [np.iinfo("int64").max, np.iinfo("int64").min, 0],
        np.array([2**64 - 1, 0, 1], "uint64"), pd.array([1, None, 3], "Int64"), pd.array([1.5, None, 3], "Float64"),
        [Decimal("1.50"), Decimal("2"), None], np.array([1, 2, 3], "float16"), pd.array([1, 2, None], "int32[pyarrow]"),
        pd.array([1.5, 2, None], "double[pyarrow]"), [np.nan] * 3, [1, 2.5, None], [3, 3, 3],
    ],
    "categorical": [
        ["a", "b", None], [1, "1", 1.0], [True, "x", ""], [1, 2, 3], pd.Categorical(["a", "b", None]),
        pd.Categorical([1, 2, 3]), pd.array(["a", None, "c"], "string"), pd.array(["a", None, "c"], "string[pyarrow]"),
        pd.array([1, None, 2], "Int64"), [True, False, True], ["nan", "", "None"], [Decimal("1.5"), "a", None],
    ],
    "boolean": [[True, False, None], [0, 1, 0], [0.0, np.nan, 1.0], pd.array([True, None, False], "boolean"),
                pd.array([True, None, False], "bool[pyarrow]"), [False] * 3],
    "ordinal": [[1, 2, 3], ["a", "b", "c"], pd.Categorical(["lo", "hi", None], ["lo", "hi"], ordered=True), [2.5, None, 1]],
    "datetime": [
        pd.to_datetime(["2020-01-01", None, "2021-01-01"]), pd.to_datetime(["2020-01-01"] * 3).tz_localize("Asia/Tokyo"),
        list(pd.date_range("2020-01-01", periods=3).date), np.array(["1500-01-01", "2020-01-01", "2500-01-01"], "datetime64[s]"),
        pd.Series(pd.date_range("2020-01-01", periods=3)).astype("timestamp[ms][pyarrow]"),
        pd.Series(pd.date_range("2020-01-01", periods=3)).dt.date.astype("date32[day][pyarrow]"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "cells"), [(kind, cells) for kind in GOOD for cells in GOOD[kind]])
def test_good_cells_pass(kind, cells):
    Metadata((Column("x", kind),)).validate(pd.DataFrame({"x": cells}))


TEXTS = [CANARY, CANARY, "3"]
BAD = [
    ("continuous", [1.0, np.inf, -np.inf], NonFiniteError, ""),
    ("continuous", pd.array([1, np.inf, None], "Float64"), NonFiniteError, ""),
    ("continuous", [Decimal("Infinity"), 1, 2], NonFiniteError, ""),
    ("continuous", [1.7e308, -1.7e308, 0], NonFiniteError, ""),
    ("continuous", TEXTS, ColumnTypeError, "'categorical'"),
    ("continuous", ["1", "2,000", "3.5"], ColumnTypeError, "pd.to_numeric"),
    ("continuous", pd.array(TEXTS, "string"), ColumnTypeError, "'categorical'"),
    ("continuous", [1, CANARY, True], ColumnTypeError, ""),
    ("continuous", [True, False, True], ColumnTypeError, "'boolean'"),
    ("continuous", [1j, 2j, 3j], ColumnTypeError, "complex128"),
    ("continuous", pd.to_timedelta([1, 2, 3], "h"), ColumnTypeError, "total_seconds"),
    ("continuous", pd.period_range("2020", periods=3, freq="M"), ColumnTypeError, "to_timestamp"),
    ("continuous", pd.date_range("2020", periods=3), ColumnTypeError, "'datetime'"),
    ("continuous", pd.Categorical([1, 2, 3]), ColumnTypeError, "astype(float)"),
    ("continuous", [10**30, 1, 2], ColumnTypeError, "astype(float)"),
    ("continuous", [Fraction(1, 3), 1, 2], ColumnTypeError, "nested"),
    ("continuous", pd.arrays.SparseArray([0.0, 1, 0]), ColumnTypeError, "to_dense"),
    ("categorical", [[CANARY], [CANARY], ["b"]], ColumnTypeError, "nested"),
    ("categorical", [{CANARY: 1}, {"a"}, CANARY], ColumnTypeError, "nested"),
    ("categorical", [b"x", b"y", b"z"], ColumnTypeError, "bytes"),
    ("categorical", pd.to_timedelta([1, 2, 3], "h"), ColumnTypeError, "total_seconds"),
    ("categorical", pd.cut(pd.Series([1, 2, 3]), 2), ColumnTypeError, "astype(str)"),
    ("categorical", pd.array([[CANARY], ["b"], []], pd.ArrowDtype(pa.list_(pa.string()))), ColumnTypeError, "nested"),
    ("categorical", [f"{CANARY}{i}" for i in range(50)], IdentifierColumnError, "'id'"),
    ("categorical", pd.Categorical([f"{CANARY}{i}" for i in range(60)]), IdentifierColumnError, "'id'"),
    ("categorical", list(range(50)), IdentifierColumnError, "'continuous'"),
    ("boolean", [0, 1, 2], ColumnTypeError, "integer"),
    ("boolean", [CANARY, "no", "no"], ColumnTypeError, "text"),
    ("boolean", pd.date_range("2020", periods=3), ColumnTypeError, "datetime"),
    ("ordinal", [1, CANARY, None], ColumnTypeError, "'order'"),
    ("ordinal", pd.period_range("2020", periods=3, freq="M"), ColumnTypeError, "period"),
    ("datetime", [CANARY, "2020-01-01", "2020-01-02"], ColumnTypeError, "pd.to_datetime"),
    ("datetime", ["2020-01-01", "2020-01-02", "2020-01-03"], ColumnTypeError, "format='%Y-%m-%d'"),
    ("datetime", [1, 2, 3], ColumnTypeError, "pd.to_datetime"),
    ("datetime", [pd.Timestamp("2020"), CANARY, 3], ColumnTypeError, ""),
    ("datetime", [pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC"), None], ColumnTypeError, "time zone"),
    ("datetime", [True, False, None], ColumnTypeError, "object"),
    ("datetime", pd.Categorical(["2020-01-01", CANARY, None]), ColumnTypeError, "pd.to_datetime"),
    ("datetime", pd.period_range("2020", periods=3, freq="M"), ColumnTypeError, "to_timestamp"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "cells", "error", "told"), BAD)
def test_bad_cells_have_their_error_column_and_cure_and_no_value(kind, cells, error, told):
    df = pd.DataFrame({"x": cells})
    with refuses(error, "column 'x'") as raised:
        Metadata((Column("x", kind),)).validate(df)
    assert told in str(raised.value)  # the dtype, kind or function that is named
    assert "CANARY" not in str(raised.value)


def test_declared_formats_zones_and_orders_are_checked():
    def fault(column: Column, cells: object) -> str:
        with pytest.raises(ColumnTypeError) as error:
            Metadata((column,)).validate(pd.DataFrame({"x": cells}))
        assert CANARY not in str(error.value)
        return str(error.value)

    dates = ["2020-01-31", "2020-02-01", CANARY]
    assert "dates of the format '%Y-%m-%d', found 1 of 3 cells that are none; mend" in fault(
        Column("x", "datetime", "%Y-%m-%d"), dates
    )
    assert "the format '%Y-%m-%d' reads them" in fault(Column("x", "datetime", "%d/%m/%Y"), dates[:2])
    paris = Column("x", "datetime", time_zone="Europe/Paris")
    days = pd.date_range("2020", periods=3)
    assert "tz_localize" in fault(paris, days)
    assert "found 'Asia/Tokyo'; convert it with .dt.tz_convert" in fault(paris, days.tz_localize("Asia/Tokyo"))
    stages = Column("x", "ordinal", order=("I", "II"))
    assert "in 'order', found 2 of 3 cells (1 distinct) that are not; list every value" in fault(
        stages, [CANARY, CANARY, "I"]
    )
    assert "the same values as str are: use one type" in fault(Column("x", "ordinal", order=("1", "2")), [1, 2, 2])


def test_declared_formats_zones_and_orders_that_fit():
    for column, cells in [
        (Column("x", "datetime", "%d/%m/%Y"), ["31/12/1500", "01/01/2500", None]),
        (Column("x", "datetime", "%Y-%m-%d", "Europe/Paris"), ["2020-01-01", "2020-01-02", None]),
        (Column("x", "datetime", time_zone="Europe/Paris"), pd.date_range("2020", periods=3, tz="Europe/Paris")),
        (Column("x", "ordinal", order=("a", "b", "c")), ["c", "a", None]),
        (Column("x", "ordinal", order=(1, 2, 3)), pd.array([1, 2, None], "Int64")),
    ]:
        Metadata((column,)).validate(pd.DataFrame({"x": cells}))


def test_several_offsets_from_utc_are_named_by_infer_and_refused_by_validate():
    text = pd.Series(["2020-01-31 12:00:00+01:00", "2020-07-31 12:00:00+02:00"] * 30)
    df = pd.DataFrame({"admitted": text, "age": [30, 41, 52, 30, 47, 58] * 10})
    with pytest.warns(MetadataWarning, match="several offsets from UTC"):
        inferred = Metadata.infer(df)
    column = inferred.column("admitted")
    assert (column.kind, column.time_zone) == ("datetime", "UTC")
    inferred.validate(df)
    without = {"continuous": ["age"], "datetime": [{"name": "admitted", "format": column.format}]}
    with refuses(ColumnTypeError, "column 'admitted'"):
        Metadata.of(without).validate(df)


def test_text_is_an_identifier_from_15_cells_on_when_three_in_five_occur_once():
    meta = Metadata.of({"categorical": ["x"]})
    meta.validate(pd.DataFrame({"x": [f"v{i}" for i in range(14)]}))
    meta.validate(pd.DataFrame({"x": [f"v{i % 159}" for i in range(200)]}))
    with refuses(IdentifierColumnError, "column 'x'"):
        meta.validate(pd.DataFrame({"x": [f"v{i % 160}" for i in range(200)]}))


def test_all_problems_come_at_once_and_no_canary_leaves_a_bad_frame():
    df = pd.DataFrame(
        {
            "age": [CANARY] * 60,
            "bmi": [1.0, np.inf] * 30,
            "sex": [f"{CANARY}{i}" for i in range(60)],
            "smoker": [CANARY, "b", "c"] * 20,
            "stage": [CANARY] * 60,
            "admitted": [CANARY] * 60,
            "patient": CANARY,
            "ward": CANARY,
        }
    )
    with pytest.raises(DataError) as error:
        Metadata.of(PATIENTS).validate(pd.concat([df, df[["ward"]]], axis=1))
    classes = {problem.kind for problem in error.value.problems}
    assert classes == {
        ColumnTypeError,
        NonFiniteError,
        IdentifierColumnError,
        ColumnsMismatchError,
        DuplicateColumnsError,
    }
    assert type(error.value) is DataError
    places = {problem.where for problem in error.value.problems}
    assert {
        f"column {name!r}" for name in ("age", "bmi", "sex", "smoker", "stage", "admitted", "ward", "diagnosis")
    } == places
    assert CANARY not in str(error.value) + repr(error.value) + repr(error.value.__cause__) + repr(
        error.value.__context__
    )


def cells_of_any_sort():
    return st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.decimals(), st.binary(max_size=3),
        st.dates(), st.datetimes(), st.timedeltas(), st.complex_numbers(), st.lists(st.integers(), max_size=2), st.fractions(),
        st.sampled_from([pd.NA, pd.NaT, np.int8(3), np.float32(1.5), np.bool_(True), np.datetime64("2020-01-01")]),
    )  # fmt: skip


@pytest.mark.long
@given(st.lists(cells_of_any_sort(), min_size=2, max_size=8), st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None)
def test_any_cells_are_accepted_or_refused_in_our_words(cells, kind):
    df = pd.DataFrame({"x": pd.Series(cells, dtype=object), "y": 1.0})
    with contextlib.suppress(DataError):
        Metadata((Column("x", kind), Column("y", "continuous"))).validate(df)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetadataWarning)
        meta = Metadata.infer(df)
    try:
        meta.validate(df)
    except (NonFiniteError, ColumnTypeError):
        assert meta.column("x").kind in ("continuous", "datetime")


# ------------------------------------------------------------------------------------------- SDV's metadata


@pytest.mark.long
def test_to_sdv_is_read_by_sdv_and_comes_back():
    sdv = pytest.importorskip("sdv.metadata")
    meta = Metadata.of({**PATIENTS, "variable_to_predict": None})
    read = sdv.Metadata.load_from_dict(meta.to_sdv())
    read.validate()
    read.validate_data({"table": patients()})
    assert Metadata.from_sdv(read) == meta
    assert Metadata.from_sdv(read.to_dict()) == Metadata.from_sdv(meta.to_sdv()) == meta


def test_from_sdv_reads_every_kind_it_has():
    columns = {
        "a": {"sdtype": "numerical", "computer_representation": "Int64"},
        "b": {"sdtype": "categorical"},
        "c": {"sdtype": "categorical", "order": ["lo", "hi"]},
        "d": {"sdtype": "categorical", "order_by": "alphabetical"},
        "e": {"sdtype": "boolean"},
        "f": {"sdtype": "datetime", "datetime_format": "%d %b %Y"},
        "g": {"sdtype": "datetime"},
        "h": {"sdtype": "id", "regex_format": r"E\-\d{4}"},
        "i": {"sdtype": "id", "regex_format": "[A-Z]{4}"},
        "j": {"sdtype": "id"},
        "k": {"sdtype": "email", "pii": True},
        "l": {"sdtype": "unknown", "pii": True},
        "m": {"sdtype": "id", "regex_format": "U[0-9]{3}x"},
    }
    meta = Metadata.from_sdv({"columns": columns, "METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", "primary_key": "j"})
    assert {column.name: column.kind for column in meta.columns} == {
        "a": "continuous", "b": "categorical", "c": "ordinal", "d": "ordinal", "e": "boolean", "f": "datetime",
        "g": "datetime", "h": "id", "i": "id", "j": "id", "k": "ignore", "l": "ignore", "m": "id",
    }  # fmt: skip
    assert meta.column("c").order == ("lo", "hi")
    assert meta.column("h").pattern == "E-####"
    assert meta.column("m").pattern == "U###x"
    assert meta.column("i").regenerate is None
    assert "personal data" in meta.reasons["k"]
    assert "identifier" in meta.reasons["j"]


@pytest.mark.parametrize(
    ("wrong", "places"),
    [
        ({"tables": {"a": {"columns": {}}, "b": {"columns": {}}}}, ["tables"]),
        ({"continuous": []}, ["metadata"]),
        ("metadata.json", ["metadata"]),
        ({"columns": {"x": {}, "y": 3}}, ["column 'x'", "column 'y'"]),
        ({"columns": {"x": {"sdtype": "datetime", "datetime_format": "none"}}}, ["column 'x'.format"]),
    ],
)
def test_from_sdv_refuses_what_it_cannot_read(wrong, places):
    with refuses(MetadataError, *places):
        Metadata.from_sdv(wrong)


def test_sdv_needs_names_that_are_text():
    with refuses(MetadataError, "column 3"):
        Metadata.of({"continuous": [3, "a"]}).to_sdv()


# ------------------------------------------------------------------------------------------- relations and unit

VISITS = pd.DataFrame(
    {
        "patient_id": [f"P{i // 4:04d}" for i in range(400)],
        "low": [float(i % 37) for i in range(400)],
        "high": [float(i % 37 + i % 11) for i in range(400)],
    }
)


def visits(**more):
    return Metadata.of({"continuous": ["low", "high"], "id": ["patient_id"], **more})


def test_an_identifier_that_repeats_is_the_unit():
    with pytest.warns(MetadataWarning, match="patient_id.*as if independent.*unit"):
        meta = Metadata.infer(VISITS)
    assert (meta.unit, meta.column("patient_id").kind) == ("patient_id", "id")
    assert Metadata.from_dict(meta.to_dict()) == meta
    jsonschema.validate(meta.to_dict(), metadata_schema())


@pytest.mark.parametrize(
    "name",
    ["patient", "Customer", "PatientNo", "Patientennummer", "member number", "userId", "pid", "case_no", "emp_no", "PatNr",
     "fall_nr", "Fall-Nr.", "subjid", "kunde", "Kundennr", "MitarbeiterNr", "policy number", "worker", "Worker_2", "VNR", "Kundin",
     "Patientin", "resident", "Resident ID", "resident1", "employee", "EMPLOYEE_NO", "client", "member", "subject", "Versicherter",
     "Versichertennummer", "salarié", "no_client", "paciente", "mitarbeiter", "Mitarbeiter_1", "Versicherte", "patients", "Employees",
     "clients", "Kundinnen", "Angestellte"],
)  # fmt: skip
@pytest.mark.parametrize("first", [0, 5_000])
def test_names_of_people_say_that_a_number_is_theirs(name, first):
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(100), np.random.default_rng(0).integers(2, 7, 100)))
    df = pd.DataFrame({name: first + rows, "x": np.random.default_rng(0).random(len(rows))})
    with pytest.warns(MetadataWarning, match="as if independent"):
        assert Metadata.infer(df).unit == name


@pytest.mark.parametrize(
    "name", ["employees", "Mitarbeiter", "patients", "Versicherte", "num_employees", "number of patients"]
)
def test_how_many_people_there_are_is_no_unit(name):
    rng = np.random.default_rng(0)
    for n_people in (
        rng.lognormal(4, 1, 900).astype(int),
        rng.geometric(0.04, 3_000),
        100 * rng.integers(10, 90, 900),
        rng.poisson(30, 600),
    ):
        df = pd.DataFrame({name: n_people, "x": rng.random(len(n_people))})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Metadata.infer(df).unit is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient_id", range(400)),  # does not repeat
        ("dept_id", [i % 12 for i in range(400)]),  # few values: a category
        ("manager_id", [i % 25 for i in range(400)]),  # 16 rows each, and no person of the table's rows
        ("age", [i // 4 for i in range(400)]),  # no identifier by its name
        ("Personal", [i // 2 for i in range(400)]),  # a word that only begins like one: spending, the number of a staff
        ("fall", [f"v{i // 4}" for i in range(400)]),  # a season
        ("week", [1_000 + i // 4 for i in range(400)]),
        ("x", [1_900 + i // 4 for i in range(400)]),  # years
        ("x", [int(i) for i in np.random.default_rng(1).integers(5_000, 5_060, 400)]),  # as many each as by chance
        (
            "job",
            [
                f"{a} {b}"
                for a in ("Chief", "Head", "Junior", "Lead", "Senior")
                for b in ("Cook", "Nurse", "Smith", "Clerk")
                for _ in range(20)
            ],
        ),
        ("site", [f"Site {i % 40:03}" for i in range(400)]),  # few
        ("mail", ["unknown"] * 120 + [f"p{i}@example.org" for i in range(280)]),  # a placeholder is nobody
    ],
)
def test_other_columns_are_no_unit(name, values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetadataWarning)
        assert Metadata.infer(pd.DataFrame({name: values, "x": np.random.default_rng(0).random(400)})).unit is None


TOLD = np.random.default_rng(2).integers(0, 2, 100)[np.arange(400) // 4]


@pytest.mark.parametrize(
    ("values", "more", "reason"),
    [
        ([f"Ann Surname{i // 4}" for i in range(400)], {}, "full names"),
        ([f"O'Neill{i // 4}, Mary-Ann" for i in range(400)], {}, "full names"),
        ([f"Ada Byron{i // 6}" for i in range(400)], {}, "full names"),
        ([f"P{i // 4:04}" for i in range(400)], {}, "numbered through"),
        ([5_000 + i // 4 for i in range(400)], {}, "in about as many rows"),
        ([5_000.0 + i // 4 for i in range(396)] + [None] * 4, {}, "in about as many rows"),
        ([i // 4 for i in range(400)], {"sex": TOLD}, "the same value in another column"),
    ],
)
@pytest.mark.parametrize("order", [np.arange(400), np.random.default_rng(0).permutation(400)])
def test_an_identifier_that_repeats_is_known_by_its_cells_and_can_be_said_to_be_none(values, more, reason, order):
    df = pd.DataFrame({"x": values, "y": np.random.default_rng(0).random(400), **more}).iloc[order]
    with pytest.warns(MetadataWarning, match="'x': looks like the identifier of people with several rows each"):
        meta = Metadata.infer(df)
    assert (meta.unit, meta.column("x").kind) == ("x", "id")
    assert reason in meta.reasons["x"]
    word, kind = ("category", "categorical") if isinstance(values[0], str) else ("number", "continuous")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = Metadata.infer(df, set={"x": word})
    assert (said.unit, said.column("x").kind) == (None, kind)


def test_bands_of_numbers_that_are_in_order_show_no_people():
    age = np.arange(400) % 80
    df = pd.DataFrame({"x": age, "band": age // 10, "born": 2_020 - age, "y": np.random.default_rng(0).random(400)})
    assert Metadata.infer(df).unit is None


def test_all_columns_that_name_people_are_left_out_and_the_first_is_the_unit():
    df = VISITS.assign(case_no=[f"C{i // 2}" for i in range(400)], dept_id=[i % 40 for i in range(400)])
    with (
        pytest.warns(MetadataWarning, match="'patient_id'.*unit"),
        pytest.warns(MetadataWarning, match="'case_no'.*beside 'patient_id'"),
    ):
        meta = Metadata.infer(df)
    assert (meta.unit, set(meta.of_kind("id"))) == ("patient_id", {"patient_id", "case_no"})


def test_a_repeating_identifier_without_a_unit_is_warned_of():
    with pytest.warns(MetadataWarning, match="patient_id.*as if independent"):
        visits().validate(VISITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visits(unit="patient_id").validate(VISITS)


def test_an_identifier_that_repeats_and_is_made_anew_is_warned_of():
    anew = {"id": [{"name": "patient_id", "regenerate": "sequence"}], "unit": "patient_id"}
    with pytest.warns(MetadataWarning, match="patient_id.*every synthetic row is a person of its own"):
        visits(**anew).validate(VISITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visits(**anew).validate(VISITS.assign(patient_id=range(len(VISITS))))


def test_a_unit_must_be_there_and_an_identifier():
    with refuses(ColumnsMismatchError, "column 'patient_id'"):
        visits(unit="patient_id").validate(VISITS.drop(columns="patient_id"))
    said = {"low": "kind 'id'", "patient": "no column is called 'patient'", ("low",): "no column is called"}
    for unit, why in said.items():
        with refuses(MetadataError, "unit") as caught:
            visits(unit=unit)
        assert why in str(caught.value)


def test_declared_relations_that_rows_break_are_refused_by_name_and_count():
    order = {"kind": "inequality", "ascending": ["low", "high"]}
    broken = VISITS.assign(high=VISITS["high"].where(VISITS.index >= 40, -1.0))
    with refuses(MetadataError, "relations[0]") as caught:
        visits(relations=[order]).with_relations(broken)
    assert "low <= high" in str(caught.value)
    assert "40 rows" in str(caught.value)
    few = VISITS.assign(high=VISITS["high"].where(VISITS.index >= 3, -1.0))
    with refuses(MetadataError, "relations[0]") as caught:
        visits(relations=[order]).with_relations(few)
    assert "fewer than 5" in str(caught.value)
    for handling in ("learn", "ignore"):
        kept = visits(relations=[{**order, "handling": handling}]).with_relations(broken)
        assert [relation.handling for relation in kept.relations] == [handling]
    assert visits(relations=[]).with_relations(VISITS).relations == ()


@pytest.mark.parametrize(
    ("relation", "place"),
    [
        ({"kind": "predicate", "expression": "bill/0 > 1"}, "relations[1].expression"),
        ({"kind": "predicate", "expression": "1 < 2"}, "relations[1].expression"),
        ({"kind": "predicate", "expression": "bill + 1"}, "relations[1].expression"),
        ({"kind": "computed", "target": "bill", "formula": "age / 0"}, "relations[1].formula"),
        ({"kind": "predicate", "expression": "bill"}, "relations[1]"),
        ({"kind": "predicate", "expression": "ward > 3", "handling": "learn"}, "relations[1]"),
        ({"kind": "inequality", "ascending": ["ward", "bill"]}, "relations[1]"),
        ({"kind": "computed", "target": "bill", "formula": "ward + 1"}, "relations[1]"),
        ({"kind": "increments", "column": "ward", "step": 1}, "relations[1]"),
    ],
)
def test_a_relation_that_says_nothing_or_of_other_cells_is_named(relation, place):
    df = pd.DataFrame({"bill": [float(i % 90) for i in range(99)], "age": range(99), "ward": list("abc") * 33})
    relations = [{"kind": "predicate", "expression": "age >= 0"}, relation]
    with refuses(MetadataError, place):
        Metadata.of({"continuous": ["bill", "age"], "categorical": ["ward"], "relations": relations}).with_relations(df)


def test_columns_that_are_called_by_a_number_are_found_and_computed():
    df = pd.DataFrame({0: [i * 7 % 90 for i in range(300)], 1: [i * i % 53 for i in range(300)]})
    df[2] = df[0] + df[1]
    made = Metadata.infer(df).with_relations(df)
    assert [str(relation) for relation in made.relations] == ["2 = column(0) + column(1)"]
    assert Metadata.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_float_column_that_counts_the_rows_is_an_identifier_that_can_be_made_anew():
    df = pd.DataFrame({"x": np.arange(300.0), "y": list("abc") * 100})
    with pytest.warns(MetadataWarning, match="looks like an identifier"):
        meta = Metadata.infer(df)
    transform = TableTransform.fit(df, meta, rng=np.random.default_rng(0))
    assert transform.identifiers[0].make(2).tolist() == [1.0, 2.0]


def test_what_a_relation_holds_rests_on_people_and_not_on_rows():
    df = pd.DataFrame({"id": [i // 10 for i in range(400)], "city": ["A"] * 370 + ["B"] * 30})
    df["post"] = df["city"].map({"A": "1", "B": "2"})
    plain = {"categorical": ["city", "post"], "id": ["id"]}
    relations = [{"kind": "determines", "by": ["city"], "target": "post"}]
    (by_rows,) = Metadata.of({**plain, "relations": relations}).with_relations(df).relations
    (by_people,) = Metadata.of({**plain, "relations": relations, "unit": "id"}).with_relations(df).relations
    assert by_rows.table == (("A", "1"), ("B", "2"))
    assert by_people.table == (("A", "1"),)  # the 30 rows of B are of three people


def test_names_that_no_expression_holds_do_not_stop_the_finder():
    for names in (["x" * 1500, "y" * 1500, "z"], [" a", "b ", ""], ["a`b", "c\nd", "quoted_1_"]):
        df = pd.DataFrame({names[0]: range(200), names[1]: [i * i % 83 for i in range(200)]})
        df[names[2]] = df[names[0]] + df[names[1]]
        Metadata.of({"continuous": names}).with_relations(df)


def test_constraints_of_sdv_are_relations_and_go_back():
    inequality = {
        "constraint_class": "sdv.constraints.tabular.Inequality",
        "constraint_parameters": {"low_column_name": "low", "high_column_name": "high", "strict_boundaries": False},
    }
    made = visits().add_constraints([inequality])
    assert [str(relation) for relation in made.relations] == ["low <= high"]
    assert visits().add_constraints(made.to_sdv_constraints()) == made
    for wrong in (lambda df: df, {"constraint_class": "Inequalty"}, 3, {}, {"constraint_class": 3}):
        with pytest.raises(MetadataError):
            visits().add_constraints([wrong])


def test_a_constraint_that_is_declared_already_is_not_kept_twice():
    names = ["is_a", "is_b", "is_c"]
    group = {"kind": "one_hot", "group": names}
    found = Metadata.of({"continuous": [*names, "x"], "relations": [{**group, "handling": "learn"}]})
    for order in (names, names[::-1]):
        constraint = {"constraint_class": "OneHotEncoding", "constraint_parameters": {"column_names": order}}
        made = found.add_constraints([constraint]).add_constraints(
            [constraint, {"kind": "increments", "column": "x", "step": 1}]
        )
        assert [(relation.kind, relation.handling) for relation in made.relations] == [
            ("one_hot", "keep"),
            ("increments", "keep"),
        ]
    table = pd.DataFrame({"a": list("xxyy") * 9, "b": list("pqpp") * 9})
    pairs = {"kind": "combinations", "among": ["a", "b"]}
    learnt = Metadata.of({"categorical": ["a", "b"], "relations": [pairs]}).with_relations(table)
    assert learnt.add_constraints([pairs | {"among": ["b", "a"]}]) == learnt  # what it learnt stays


@pytest.mark.long
def test_constraint_objects_of_sdv_are_read():
    cag = pytest.importorskip("sdv.cag")
    objects = [
        cag.Inequality("low", "high"),
        cag.FixedIncrements("low", 1),
        cag.FixedCombinations(["low", "high"]),
        cag.OneHotEncoding(["low", "high"]),
    ]
    kinds = [relation.kind for relation in visits().add_constraints(objects).relations]
    assert kinds == ["inequality", "increments", "combinations", "one_hot"]
