"""What may stand in a job file: every key, its type, its range, and the JSON Schema that tells an editor the same."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails
from typing_extensions import Self

from clover_tvae.conditions import Condition
from clover_tvae.errors import MOST_PROBLEMS, ConfigError, did_you_mean
from clover_tvae.parameters import Parameters, Seed, described
from clover_tvae.tables import Database, Dialect, IfExists
from clover_tvae.workflows.datasets import DatasetName


class _Spec(BaseModel):
    # strict: "5" is no number and 1 is no truth. hide_input: a message never quotes what stands in the file.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Path_ = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class DatasetSpec(_Spec):
    """A built-in table."""

    dataset: DatasetName = Field(description="A table of scikit-learn, or the employees that this project makes up.")


_Name = Annotated[str, StringConstraints(min_length=1)]


class _InDatabase(_Spec):
    url_from: str | None = described(
        "The name of the environment variable that holds the SQLAlchemy URL, such as "
        "postgresql://user:password@host/database: no password stands in the job."
    )
    file: Path_ | None = described(
        "Instead of url_from: a .duckdb, .sqlite or .sqlite3 file under the folder of the job file."
    )
    table: _Name | None = described("The name of the table.")
    in_schema: _Name | None = described("The schema of the table.", alias="schema")

    @model_validator(mode="after")
    def _is_found(self) -> Self:
        if (self.url_from is None) == (self.file is None):
            text = "must give one of url_from (the name of an environment variable that holds the URL) and file"
            raise ValueError(text)
        try:
            self.database(self.file)
        except ConfigError as error:
            raise ValueError(error.problems[0].message) from None
        return self

    def database(self, file: str | Path | None) -> Database:
        """Return the table; ``file`` is where the key ``file`` leads."""
        return Database(file or self.url_from or "", self.table, getattr(self, "query", None), self.in_schema)


class DatabaseSpec(_InDatabase):
    """A table, or a query, of a database."""

    query: _Name | None = described("Instead of table: a SELECT.")


class DatabaseOutput(_InDatabase):
    """A table of a database, written in one transaction."""

    if_exists: IfExists = described(
        "Where the table is there already: fail, replace (the old one stands until the new one is whole), or append.",
        default="fail",
    )


def _condition(written: Any) -> Any:
    Condition.of_yaml(written)
    return written


_CELL_SCHEMA: dict[str, Any] = {"type": ["string", "boolean", "integer", "number", "null"]}
_CONDITION_SCHEMA: dict[str, Any] = {
    "oneOf": [
        _CELL_SCHEMA,
        {"type": "array", "items": _CELL_SCHEMA, "minItems": 1},
        {
            "type": "object",
            "properties": {
                **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _CELL_SCHEMA),
                "between": {"type": "array", "items": _CELL_SCHEMA, "minItems": 2, "maxItems": 2},
                "in": {"type": "array", "items": _CELL_SCHEMA, "minItems": 1},
                "missing": {"type": "boolean"},
            },
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]
}
WrittenCondition = Annotated[Any, AfterValidator(_condition), WithJsonSchema(_CONDITION_SCHEMA)]
"""A condition as it is written in a job file; :meth:`SampleSpec.parsed_conditions` reads it."""


# Discriminated, so that a problem is told of the alternative that was meant, and not of both.
_Text = Annotated[Path_, Tag("text")]
_by_mapping = Discriminator(lambda value: "mapping" if isinstance(value, dict) else "text")
_by_table = Discriminator(
    lambda value: (
        "database table"
        if isinstance(value, _InDatabase)
        or (isinstance(value, dict) and {*value} & {*DatabaseSpec.model_fields, "url"})
        else "built-in table"
        if isinstance(value, dict | DatasetSpec)
        else "text"
    )
)
_by_output = Discriminator(lambda value: "database table" if isinstance(value, dict | DatabaseOutput) else "text")
_by_text = Discriminator(lambda value: "text" if isinstance(value, str) else "number")
_PathOrTable = Annotated[
    _Text | Annotated[DatasetSpec, Tag("built-in table")] | Annotated[DatabaseSpec, Tag("database table")], _by_table
]
_PathOrMapping = Annotated[_Text | Annotated[dict[str, Any], Tag("mapping")], _by_mapping]
_PathOrShare = Annotated[_Text | Annotated[float, Field(gt=0, lt=1), Tag("number")], _by_text]


class SampleSpec(_Spec):
    """Rows to draw, and the file that they go to."""

    rows: int = Field(ge=0, le=10**10, description="Number of rows.")
    output: Annotated[_Text | Annotated[DatabaseOutput, Tag("database table")], _by_output] = Field(
        description="A .csv, .tsv, .parquet, .feather or .xlsx file under the folder of the job file; a CSV file is written as the "
        "one of the key data is. Or a table of a database."
    )
    conditions: dict[str, WrittenCondition] | None = described(
        "What every row must meet, a column each: a value, a list of values, null (missing), or one "
        'operator: {">=": 65}, {between: [18, 30]}, {missing: false}.'
    )
    seed: Seed | None = described("Seed of these rows; without one every run draws other rows.")
    decode: Literal["sample", "stratified", "argmax"] | None = described("How choices are decoded.")
    missing: bool = described("false: no missing cells.", default=True)
    steps: int | None = described(
        "Passes of the network a row, at most: fewer are faster, and lose what columns tell of each other. "
        "[default: as few as the model says cost next to nothing]",
        ge=1,
    )

    @property
    def place(self) -> str:
        """Where the rows go, as messages and the job's record call it."""
        return self.output if isinstance(self.output, str) else str(self.output.database(self.output.file))

    def parsed_conditions(self) -> dict[str, Condition]:
        """Return the conditions, parsed."""
        return {column: Condition.of_yaml(written) for column, written in (self.conditions or {}).items()}


class ResourcesSpec(_Spec):
    """What a job needs of a cluster."""

    cpus: float = described("Cores that are kept for the job.", default=1, gt=0)
    gpus: float = described(
        "Devices, or a share of one; the key device says whether it computes there.", default=0, ge=0
    )
    memory: float | None = described("Gigabytes (10^9 bytes) that are kept for the job.", gt=0)


def _samples(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else _tuple(value)


class JobSpec(_Spec):
    """One job: learn a table, keep the generator, draw rows from it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] = Field(
        description="Letters, digits, _ . -; its own among the jobs of a file."
    )
    data: _PathOrTable | None = described(
        "The table: a .csv, .tsv, .parquet, .feather, .xlsx, .xls, .ods, .dta or .sav file, a folder of Parquet files, a "
        "built-in one, or one of a database: {url_from: HOSPITAL_DB, table: patients}."
    )
    metadata: _PathOrMapping | None = described(
        "What each column is: a JSON file, a mapping written here, or the word infer."
    )
    missing: Texts = described("Cells of a CSV file that mean missing.", default=("",))
    read: Dialect | None = described("How the CSV files are written; what is left out is found in each.")
    synthesizer: Parameters = Field(
        default_factory=lambda: Parameters.model_validate({}), description="Parameters of the synthesizer."
    )
    generator_filepath: Path_ | None = described(
        "The generator file (.pkl). Loaded if it exists, else written after training."
    )
    resources: ResourcesSpec = Field(
        default_factory=ResourcesSpec, description="What the job needs of a cluster: run --engine ray."
    )
    checkpoint: bool = described(
        "true: a run that was interrupted goes on where it stood. Until it ends, a file as sensitive as the data "
        "lies in .clover-tvae, mode 0600.",
        default=False,
    )
    sample: Annotated[tuple[SampleSpec, ...], BeforeValidator(_samples)] = described(
        "What to draw: one sample, or a list of them.", default=()
    )
    holdout: _PathOrShare | None = described(
        "Real rows kept away from training: a share of the data, or a table of their own. "
        "Without it a report or limits hold 0.1 of the rows out."
    )
    report: Path_ | None = described("The report on fidelity, utility and privacy (.html), against the held-out rows.")
    dossier: Path_ | None = described(
        "What a privacy officer signs (.html), of the same figures, and the same as JSON beside it."
    )
    about: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the dossier: purpose, controller, recipients..."
    )
    limits: _PathOrMapping | None = described(
        "Bounds of figures, such as {privacy.membership_auc: {max: 0.55}}, or a YAML file of them. "
        "No row is written beyond one, rows of an earlier run are removed, and the job fails with exit code 6."
    )

    @property
    def assessed(self) -> bool:
        """Whether the job asks how good its rows are."""
        return bool(self.pages) or self.limits is not None

    @property
    def pages(self) -> dict[str, str]:
        """The files that are written of the figures."""
        pages = {"report": self.report, "dossier": self.dossier}
        if self.dossier is not None and self.dossier.lower().endswith(".html"):
            pages["json"] = f"{self.dossier[:-5]}.json"
        return {key: text for key, text in pages.items() if text is not None}


_MODELS: dict[str, type[BaseModel]] = {
    "synthesizer": Parameters,
    "sample": SampleSpec,
    "resources": ResourcesSpec,
    "built-in table": DatasetSpec,
    "database table": DatabaseOutput,
    "data": DatasetSpec,
    "read": Dialect,
}
_TAGS = ("text", "mapping", "number", "built-in table", "database table")
_FOUND = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "true or false", NoneType: "nothing"}
# What pydantic calls an error, and the rule that is broken.
_RULES = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping of names to values"),
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    "string_type": "text",
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "too_short": "a list of at least one item",
    "string_too_short": "text of at least one character",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-', at most 100, not starting with '.' or '-'",
}


def spec_problems(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Return what pydantic found in a job as (path, message): the path in the job file, the message without any text of it."""
    found: dict[tuple[tuple[str | int, ...], str], None] = {}
    for detail in error.errors(include_url=False, include_context=True, include_input=True)[:MOST_PROBLEMS]:
        path = tuple(detail["loc"])
        # A list whose items are wrong counts as too short, which says nothing new.
        if not (detail["type"] == "too_short" and any(known[: len(path)] == path for known, _ in found)):
            found[(path, _message(path, detail))] = None
    return list(found)


def _message(path: tuple[str | int, ...], detail: ErrorDetails) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        owner = next((step for step in reversed(path[:-1]) if step in _MODELS), None)
        known = _MODELS.get(str(owner), JobSpec).model_fields
        hint = did_you_mean(path[-1], known) or f"; known: {', '.join(known)}"
        return f"unknown key {path[-1]!r}{hint}"
    if kind == "missing":
        return f"the key {path[-1]!r} is missing"
    names = [step for step in path if isinstance(step, str) and step not in _TAGS]
    name = names[-1] if names else ""
    if kind == "value_error":
        return f"{name}: {context['error']}"
    rule = _RULES.get(kind) or detail["msg"].removeprefix("Input should be ")
    if len(names) > 1 and names[0] == "synthesizer":
        rule = Parameters.rule(name).removesuffix(" or None")
    hint = did_you_mean(value, re.findall("'(.+?)'", rule)) if isinstance(value, str) else ""
    return f"{name}: must be {rule}, found {_FOUND.get(type(value), f'{name}={value!r}')}{hint}"


def job_schema() -> dict[str, Any]:
    """Return the JSON Schema of a job file, for editors.

    Only what can be told without merging ``defaults:`` into the jobs is said: ``rows`` may stand in the defaults, so
    the schema does not ask for it in every sample. The loader does.

    Example:
        >>> sorted(job_schema()["properties"])
        ['defaults', 'jobs', 'version']
    """
    schema = JobSpec.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs")
    definitions["SampleSpec"].pop("required")
    # One sample or a list of them; the validator that makes a list of one is Python, which pydantic cannot translate.
    schema["properties"]["sample"] = {
        "anyOf": [{"$ref": "#/$defs/SampleSpec"}, {"type": "array", "items": {"$ref": "#/$defs/SampleSpec"}}],
        "description": schema["properties"]["sample"]["description"],
    }
    defaults = {**schema, "title": "JobDefaults", "description": "Keys that every job has unless it says otherwise."}
    defaults["properties"] = {key: value for key, value in schema["properties"].items() if key != "name"}
    defaults.pop("required")
    definitions |= {"JobSpec": schema, "JobDefaults": defaults}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clover_tvae job file",
        "description": "Jobs for `clover-tvae run`. Paths are relative to the folder of the file and stay under it.",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "jobs"],
        "properties": {
            "version": {"const": 1, "description": "The form of this file."},
            "defaults": {"$ref": "#/$defs/JobDefaults"},
            "jobs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/JobSpec"}},
        },
        "$defs": definitions,
    }
