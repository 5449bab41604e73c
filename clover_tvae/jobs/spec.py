"""What may stand in a job file: every key, its type, its range, and the JSON Schema that tells an editor the same.

This module knows pydantic and the names of the synthesizer's parameters. It opens no file and knows no table.
"""

from __future__ import annotations

from collections.abc import Iterable
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
)
from pydantic_core import ErrorDetails

from clover_tvae.conditions import Condition
from clover_tvae.errors import did_you_mean
from clover_tvae.jobs.datasets import DatasetName
from clover_tvae.parameters import LARGEST_WIDTH

__all__ = [
    "JobSpec",
    "SampleSpec",
    "SynthesizerSpec",
    "job_schema",
    "spec_problems",
]


class _Spec(BaseModel):
    # strict: "5" is no number and 1 is no truth. hide_input: a message never quotes what stands in the file.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Layers = Annotated[
    tuple[Annotated[int, Field(ge=1, le=LARGEST_WIDTH)], ...],
    Field(min_length=1, max_length=64),
    BeforeValidator(_tuple),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Path_ = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class SynthesizerSpec(_Spec):
    """The parameters of ``TVAESynthesizer``, by their own names. What is left out keeps the synthesizer's default."""

    backend: Literal["native", "sdv"] | None = Field(
        default=None, description="The engine; native is the project's own."
    )
    decoder: Literal["autoregressive", "independent"] | None = Field(
        default=None, description="autoregressive (default), or independent: the decoder of the TVAE paper."
    )
    random_state: int | None = Field(
        default=None, ge=0, description="Seed of training and, if a sample has none, of sampling."
    )
    epochs: int | None = Field(default=None, ge=1, le=1_000_000, description="Passes over the rows, at most.")
    batch_size: int | None = Field(default=None, ge=1, le=10_000_000, description="Rows a training step.")
    compress_dims: Layers | None = Field(default=None, description="Widths of the encoder's hidden layers.")
    decompress_dims: Layers | None = Field(default=None, description="Widths of the decoder's hidden layers.")
    embedding_dim: int | None = Field(
        default=None, ge=1, le=LARGEST_WIDTH, description="Dimensions of the latent space."
    )
    learning_rate: float | None = Field(default=None, gt=0, le=10, description="Step size of the optimiser.")
    weight_decay: float | None = Field(default=None, ge=0, le=10, description="Weight decay of the optimiser.")
    loss_factor: float | None = Field(
        default=None, gt=0, description="Weight of the reconstruction against the KL term."
    )
    gradient_clip: float | None = Field(default=None, gt=0, description="Largest norm of a gradient.")
    validation_fraction: float | None = Field(
        default=None, ge=0, lt=1, description="Share of the rows kept for early stopping."
    )
    patience: int | None = Field(default=None, ge=1, description="Checks without improvement before training stops.")
    max_minutes: float | None = Field(default=None, gt=0, description="Minutes of training, at most.")
    device: Annotated[str, StringConstraints(pattern=r"^(cpu|mps|auto|cuda(:[0-9]{1,3})?)$")] | None = Field(
        default=None, description="cpu, cuda, cuda:N, mps or auto."
    )
    decode: Literal["sample", "argmax"] | None = Field(
        default=None, description="How choices are decoded; argmax as SDV does."
    )
    trust_pickle: bool | None = Field(
        default=None, description="Open a generator of the sdv backend, which can run code."
    )
    enforce_min_max_values: bool | None = Field(default=None, description="SDV's own (backend sdv): keep the range.")
    enforce_rounding: bool | None = Field(default=None, description="SDV's own (backend sdv): keep the decimals.")
    discriminator_steps: int | None = Field(default=None, ge=0, description="Accepted with a warning: a VAE has none.")

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that were given, as keyword arguments of ``TVAESynthesizer``."""
        return self.model_dump(exclude_none=True)


class DatasetSpec(_Spec):
    """A built-in table."""

    dataset: DatasetName = Field(description="A table of scikit-learn, or the employees that this project makes up.")


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


class SampleSpec(_Spec):
    """Rows to draw, and the file that they go to."""

    rows: int = Field(ge=0, le=10**10, description="Number of rows.")
    output: Path_ = Field(description="A .csv, .csv.gz or .parquet file under the folder of the job file.")
    conditions: dict[str, WrittenCondition] | None = Field(
        default=None,
        description="What every row must meet, a column each: a value, a list of values, null (missing), or one "
        'operator: {">=": 65}, {between: [18, 30]}, {missing: false}.',
    )
    seed: int | None = Field(
        default=None, ge=0, description="Seed of these rows; without one every run draws other rows."
    )
    decode: Literal["sample", "argmax"] | None = Field(default=None, description="How choices are decoded.")
    missing: bool = Field(default=True, description="false: no missing cells.")

    def parsed_conditions(self) -> dict[str, Condition]:
        """Return the conditions, parsed."""
        return {column: Condition.of_yaml(written) for column, written in (self.conditions or {}).items()}


def _samples(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else _tuple(value)


def _tag_of_text_or_mapping(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "text"


def _tag_of_text_or_number(value: Any) -> str:
    return "text" if isinstance(value, str) else "number"


class JobSpec(_Spec):
    """One job: learn a table, keep the generator, draw rows from it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] = Field(
        description="Letters, digits, _ . -; its own among the jobs of a file."
    )
    data: (
        Annotated[
            Annotated[Path_, Tag("text")] | Annotated[DatasetSpec, Tag("mapping")],
            Discriminator(_tag_of_text_or_mapping),
        ]
        | None
    ) = Field(default=None, description="The table: a .csv, .csv.gz or .parquet file, or a built-in one.")
    metadata: (
        Annotated[
            Annotated[Path_, Tag("text")] | Annotated[dict[str, Any], Tag("mapping")],
            Discriminator(_tag_of_text_or_mapping),
        ]
        | None
    ) = Field(default=None, description="What each column is: a JSON file, a mapping written here, or the word infer.")
    missing: Texts = Field(default=("",), description="Cells of a CSV file that mean missing.")
    synthesizer: SynthesizerSpec = Field(default=SynthesizerSpec(), description="Parameters of the synthesizer.")
    generator_filepath: Path_ | None = Field(
        default=None, description="The generator file (.pkl). Loaded if it exists, else written after training."
    )
    sample: Annotated[tuple[SampleSpec, ...], BeforeValidator(_samples)] = Field(
        default=(), description="What to draw: one sample, or a list of them."
    )
    holdout: (
        Annotated[
            Annotated[Path_, Tag("text")] | Annotated[float, Field(gt=0, lt=1), Tag("number")],
            Discriminator(_tag_of_text_or_number),
        ]
        | None
    ) = Field(
        default=None,
        description="Real rows kept away from training: a share of the data, or a table of their own. "
        "Without it a report or limits hold 0.1 of the rows out.",
    )
    report: Path_ | None = Field(
        default=None, description="The report on fidelity, utility and privacy (.html), against the held-out rows."
    )
    limits: (
        Annotated[
            Annotated[Path_, Tag("text")] | Annotated[dict[str, Any], Tag("mapping")],
            Discriminator(_tag_of_text_or_mapping),
        ]
        | None
    ) = Field(
        default=None,
        description="Bounds of figures, such as {privacy.membership_auc: {max: 0.55}}, or a YAML file of them. "
        "No row is drawn beyond one, and the job fails with exit code 6.",
    )

    @property
    def assessed(self) -> bool:
        """Whether the job asks how good its rows are."""
        return self.report is not None or self.limits is not None


_MODELS: dict[str, type[BaseModel]] = {"synthesizer": SynthesizerSpec, "sample": SampleSpec, "data": DatasetSpec}
_FOUND = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "true or false", int: "a whole number"}
_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of names to values",
    "model_type": "expected a mapping of names to values",
    "model_attributes_type": "expected a mapping of names to values",
    "finite_number": "expected a finite number",
}


def spec_problems(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Return what pydantic found as (path, message): the path in the job file, the message without any value of it.

    Args:
        error: What validating a :class:`JobSpec` raised.
    """
    found: dict[tuple[tuple[str | int, ...], str], None] = {}
    for detail in error.errors(include_url=False, include_context=True, include_input=True):
        path = tuple(detail["loc"])
        # A list whose items are wrong counts as too short, which says nothing new.
        if not (detail["type"] == "too_short" and any(known[: len(path)] == path for known, _ in found)):
            found[(path, _message(path, detail))] = None
    return list(found)


def _message(path: tuple[str | int, ...], detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    key = path[-1] if path else ""
    if kind == "extra_forbidden":
        owner = next((step for step in reversed(path[:-1]) if step in _MODELS), None)
        known = _MODELS.get(str(owner), JobSpec).model_fields
        hint = did_you_mean(key, known) or f"; known: {', '.join(known)}"
        return f"unknown key {key!r}{hint}"
    if kind == "missing":
        return f"the key {key!r} is missing"
    if kind in _EXPECTED:
        return f"{_named(path)}{_EXPECTED[kind]}, found {_found(detail['input'])}"
    if kind == "literal_error":
        choices = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")]
        hint = did_you_mean(detail["input"], choices) if isinstance(detail["input"], str) else ""
        return f"{_named(path)}expected one of {', '.join(choices)}{hint}"
    if kind == "value_error":
        return f"{_named(path)}{context['error']}"
    if kind in ("too_short", "string_too_short"):
        return f"{_named(path)}expected at least one {'item' if kind == 'too_short' else 'character'}"
    if kind == "string_pattern_mismatch":
        return f"{_named(path)}{_PATTERNS.get(str(key), 'the text has the wrong form')}"
    # What is left are ranges and lengths, whose messages hold the limit and not the value.
    return f"{_named(path)}{detail['msg'].replace('Input should be', 'expected a value')}"


_PATTERNS = {
    "name": "expected letters, digits, '_', '.' and '-', at most 100, not starting with '.' or '-'",
    "device": "expected cpu, cuda, cuda:N, mps or auto",
}


def _named(path: Iterable[str | int]) -> str:
    words = [step for step in path if isinstance(step, str) and step not in ("text", "mapping", "number")]
    return f"{words[-1]}: " if words else ""


def _found(value: Any) -> str:
    return "nothing" if value is None else _FOUND.get(type(value), "a number with a fraction")


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
