"""What each parameter may be, what it means, and what it is where the user says nothing.

The one home of the parameters of ``TVAESynthesizer``: the constructor, YAML jobs, the ``fit`` command and the reader of
generator files take ranges and descriptions from here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from clover_tvae.errors import CloverWarning, ConfigError, Problem, did_you_mean, warn

__all__ = [
    "CHECKED", "LARGEST_WIDTH", "MIN_COUNT", "MOST_ROWS", "NOT_IN_SDV", "ONLY_IN_SDV", "Count", "Decay", "Parameters",
    "Positive", "Privacy", "Seed", "Share", "Width", "Widths", "described", "in_words", "listed", "shown", "unguarded",
    "whole_number",
]  # fmt: skip

#: Fewest people that a figure, a category's name or a stored value may rest on; fewer are withheld.
MIN_COUNT = 5
#: Most rows of one call: a thousand billion, which would take months.
MOST_ROWS = 10**12
#: Widest layer of a network; hostile files are refused before their sizes allocate anything.
LARGEST_WIDTH = 16_384
#: Parameters that SDV's TVAE has not, and those that it alone has.
NOT_IN_SDV = (
    "decoder", "learning_rate", "gradient_clip", "validation_fraction", "patience", "max_minutes", "precision",
)  # fmt: skip
ONLY_IN_SDV = ("enforce_min_max_values", "enforce_rounding")


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays into Python's, and lists into tuples."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


_Plain = BeforeValidator(_plain)
Seed = Annotated[int, Field(ge=0, le=2**64 - 1), _Plain]
Count = Annotated[int, Field(ge=1, le=1_000_000_000), _Plain]
Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH), _Plain]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=64), _Plain]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _Plain]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False), _Plain]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), _Plain]
_Flag = Annotated[bool, _Plain]


def described(description: str, *, default: Any = None, **rules: Any) -> Any:
    """Return a field of a model: what it means, and its default."""
    return Field(default, description=description, **rules)


class Parameters(BaseModel):
    """The parameters of ``TVAESynthesizer``, by their own names; ``None`` leaves one to the engine and the table.

    Defaults of the native engine, by its decoder (n is the number of rows):

    =====================  =========================  ==========================================================
    parameter              ``independent``            ``autoregressive``
    =====================  =========================  ==========================================================
    epochs                 300                        until the validation ELBO stops improving; at most 4,000 steps,
                                                      or 97,000 / (columns + 19) if that is less; fewer
                                                      where n < 1,020 or columns have thousands of categories;
                                                      a student: at most 250 + 2.5 n or 2,000 (n < 2,500);
                                                      twice as many (n >= 10,000), as long as the ELBO improves
                                                      by 0.05 nats in a quarter of the epochs so far
    batch_size             500                        128 (n < 3,000), 512 (n < 8,000), 1024
    compress_dims          (128, 128)                 (128, 128)
    decompress_dims        (128, 128)                 (128, 128) (n < 3,000), (256, 256): residual blocks
    embedding_dim          128                        8, with 0.25 free bits (nats) each
    learning_rate          0.001 (Adam)               0.003 (Adam; Muon's 0.02 for the trunk, but in students of
                                                      n < 2,500), warmed up; its last part descends to 0
    weight_decay           0.00001 (L2)               0.02 (decoupled)
    loss_factor            2                          1
    gradient_clip          none                       1.0
    validation_fraction    0.05                       0.05, or 50 people if that is more, at most 0.15
    patience               none                       8 epochs, or 300 steps if that is more; none where epochs is given
    max_minutes            none                       none
    =====================  =========================  ==========================================================
    """

    # strict: "5" is no number and 1 is no truth. hide_input: a message never quotes what stands in a file.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    backend: Literal["native", "sdv"] | None = described(
        "The engine: native (default), or sdv for SDV's own TVAE behind the same face."
    )
    decoder: Literal["autoregressive", "independent"] | None = described(
        "autoregressive (default, best), or independent, the TVAE paper's; native backend only."
    )
    privacy: Literal["student", "none"] | None = described(
        "student: what is kept learns from rows that a teacher wrote (default of tables below 10,000 people, "
        "and of larger ones whose generator could tell who was learnt); none: it learns the table itself, and the "
        "generator file is as sensitive as the data. Autoregressive decoder only."
    )
    random_state: Seed | None = described(
        "A seed from 0 to 2^64 - 1: training and sampling then give the same result in every process; "
        "left out, one is drawn."
    )
    epochs: Count | None = described(
        "Passes over the rows: exactly that many, unless patience or max_minutes ends training sooner; "
        "left out, it finds its own length."
    )
    batch_size: Count | None = described("Rows a training step.")
    compress_dims: Widths | None = described("Widths of the encoder's hidden layers.")
    decompress_dims: Widths | None = described(
        "Widths of the decoder's hidden layers; of the residual blocks in the autoregressive decoder."
    )
    embedding_dim: Width | None = described("Dimensions of the latent space.")
    learning_rate: Positive | None = described("Step size of the optimiser at its peak.")
    weight_decay: Decay | None = described("Decay of the weight matrices: L2 for Adam, decoupled for Muon.")
    loss_factor: Positive | None = described("Weight of the reconstruction against the KL term.")
    gradient_clip: Positive | None = described("Largest norm of the gradient of a step.")
    validation_fraction: Share | None = described("Share of the rows held out of training to watch the ELBO.")
    patience: Count | None = described("Epochs without a better validation ELBO after which training stops.")
    max_minutes: Positive | None = described(
        "Minutes of training by the clock, teacher and student together; where this limit strikes, a seed no longer fixes the "
        "result."
    )
    device: Annotated[str, Field(pattern=r"^(cpu|mps|auto|cuda(:[0-9]{1,3})?)$")] | None = described(
        "Where to compute: cpu (default), cuda, cuda:N, mps, or auto for the best at hand.",
        examples=["cpu", "cuda", "cuda:1", "mps", "auto"],
    )
    precision: Literal["float32", "bfloat16"] | None = described(
        "Of matrix products: bfloat16 (default of tables of at least 3,000 rows, and of the paper's decoder, where the "
        "processor has instructions for it: twice as fast), or float32 (default elsewhere), which is the same on every machine up to rounding."
    )
    decode: Literal["sample", "stratified", "argmax"] | None = described(
        "sample (default) draws independent rows; stratified draws rows whose shares are closer to the learnt "
        "ones than chance would have them; argmax takes the likeliest, as SDV does, and loses rare categories."
    )
    min_count: Annotated[int, Field(ge=1, le=1000), _Plain] | None = described(
        "Fewest people who must share a category, a frequent number, a bound or a relation's value for it to "
        "be learnt or stored: 5 unless given; 1 guards nobody."
    )
    exact_values: _Flag | None = described(
        "Store numbers and dates as they are, extremes too, and not as means over min_count people."
    )
    trust_pickle: _Flag | None = described(
        "Open a generator file of the sdv backend: it holds a pickle, which can run any code."
    )
    discriminator_steps: Annotated[int, Field(ge=0), _Plain] | None = described(
        "Accepted with a warning and dropped: a VAE has no discriminator."
    )
    enforce_min_max_values: _Flag | None = described(
        "SDV's own (sdv backend): keep numbers in the range of the table; on by default."
    )
    enforce_rounding: _Flag | None = described(
        "SDV's own (sdv backend): keep the decimals of the table; on by default."
    )

    @classmethod
    def of(cls, **given: Any) -> Parameters:
        """Check parameters as a caller in Python gives them: numpy's numbers and arrays will do.

        Raises:
            ConfigError: Parameters are out of range, unknown, or not of this backend; all of them are named.

        Example:
            >>> Parameters.of(epochs=0)
            Traceback (most recent call last):
                ...
            clover_tvae.errors.ConfigError: epochs: must be a whole number from 1 to 1,000,000,000 or None, found epochs=0
        """
        found: dict[str, str] = {}
        parameters = None
        try:
            parameters = cls.model_validate(given)
        except ValidationError as error:
            for name in {str(detail["loc"][0]) for detail in error.errors(include_url=False, include_input=False)}:
                found[name] = f"no such parameter{did_you_mean(name, cls.model_fields)}"
                if name in cls.model_fields:
                    rule, value = cls.rule(name), given[name]
                    hint = did_you_mean(value, re.findall("'(.+?)'", rule)) if isinstance(value, str) else ""
                    found[name] = f"must be {rule}, found {shown(name, value)}{hint}"
        here, other = ("sdv", "native") if str(given.get("backend")) == "sdv" else ("native", "sdv")
        for name in NOT_IN_SDV if here == "sdv" else ONLY_IN_SDV:
            if given.get(name) is not None:
                found[name] = f"the {here} backend has no such parameter; leave it out, or use backend={other!r}"
        if given.get("privacy") == "student" and (here == "sdv" or given.get("decoder") == "independent"):
            found["privacy"] = "only the autoregressive decoder of the native backend has a student; leave it out"
        if parameters is None or found:
            raise ConfigError([Problem(name, found[name]) for name in given if name in found])
        if parameters.discriminator_steps is not None:
            warn("discriminator_steps is dropped: a VAE has no discriminator", CloverWarning)
        return parameters.model_copy(update={"discriminator_steps": None})

    @classmethod
    @functools.cache  # pydantic takes 5 ms for a schema
    def rule(cls, name: str) -> str:
        """Return in words what the parameter ``name`` must be.

        Example:
            >>> Parameters.rule("validation_fraction")
            'a number of at least 0 and below 1 or None'
        """
        return in_words(cls.model_json_schema()["properties"][name])

    @property
    def guards(self) -> dict[str, Any]:
        """What keeps single people out of what is stored: ``min_count`` and ``exact_values``, as they are in force."""
        least = MIN_COUNT if self.min_count is None else self.min_count
        return {"min_count": least, "exact_values": bool(self.exact_values)}

    def given(self) -> dict[str, Any]:
        """Return the parameters that are not ``None``."""
        return self.model_dump(exclude_none=True)


CHECKED = {
    "told": "the check at the end of the fit told people who were learnt from others, better than by chance: treat the generator file as personal data",
    "not told": "the quick check at the end of the fit, by few people, did not tell who was learnt: it does not see small leaks",
    "too few": "the check at the end of the fit could not be made: too few people were held out",
}
"""What the check of membership found, in words: no figure, which would tell of people."""


class Privacy(BaseModel):
    """What a generator learnt from: the file's part ``privacy``.

    Args:
        mode: ``student``: rows that a teacher wrote; ``none``: the table itself.
        written_rows: How many the teacher wrote.
        membership: Whether the check at the end of the fit could tell who was learnt; ``None``: it is not noted.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    mode: Literal["student", "none"] = "none"
    written_rows: Annotated[int, Field(ge=1)] | None = None
    membership: Literal["told", "not told", "too few"] | None = None

    def meaning(self, parameters: Mapping[str, Any]) -> str:
        """Say in words what that means, beside the guards among the backend's parameters.

        Example:
            >>> Privacy(mode="student", written_rows=400).meaning({"min_count": 1, "exact_values": False})[-67:]
            'values of single people may stand in the file, as min_count=1 asked'
        """
        text = f"it learnt from {self.written_rows or 0:,} rows that a teacher wrote, not from people; not differentially private"
        if self.mode == "none":
            text = "it learnt the table itself: the generator file is as sensitive as the data"
        return "; ".join(filter(None, (text, unguarded(parameters))))

    def told(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return it as plain data, with :meth:`meaning`, and with what the check found in words: for a card."""
        told = {**self.model_dump(exclude={"membership"}), "meaning": self.meaning(parameters)}
        return told if self.membership is None else told | {"membership_check": CHECKED[self.membership]}


def unguarded(parameters: Mapping[str, Any]) -> str:
    """Say that values of single people may be stored, where the parameters of a backend ask for it; else nothing."""
    asked = [f"{name}={off}" for name, off in (("min_count", 1), ("exact_values", True)) if parameters.get(name) == off]
    return f"values of single people may stand in the file, as {' and '.join(asked)} asked" if asked else ""


def cut_short(card: Mapping[str, Any]) -> str:
    """Say that ``max_minutes`` ended the training of a generator, where its card tells so; else nothing."""
    if (card.get("training") or {}).get("stopped") != "minutes":
        return ""
    minutes = (card.get("parameters") or {}).get("max_minutes")
    limit = "max_minutes" if minutes is None else f"max_minutes={minutes:g}"
    return f"training was stopped by {limit} before it converged; with more minutes the rows may be better"


def whole_number(value: Any, name: str, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number, numpy's too, as an ``int``, or raise ``ConfigError``."""
    plain = _plain(value)
    if not isinstance(plain, int) or isinstance(plain, bool) or plain < least or (most is not None and plain > most):
        limit = "" if most is None else f" and at most {most:,}"
        raise ConfigError(f"must be a whole number of at least {least}{limit}, found {shown(name, value)}", name)
    return plain


def listed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a file holds them: lists for tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def shown(name: str, value: Any) -> str:
    """Return a parameter's value as a message may quote it; of anything larger, such as a table, the type alone."""
    value = _plain(value)
    parts = value if isinstance(value, tuple) else (value,)
    if len(parts) > 64:
        return f"{len(parts)} of them"
    if not all(isinstance(part, int | float | str) for part in parts):
        return type(value).__name__
    try:
        return f"{name}={value!r}"[:200]
    except ValueError:  # Python writes out no int of more than 4,300 digits
        return f"{name} with thousands of digits"


def in_words(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON Schema allows."""
    if "anyOf" in schema:
        return " or ".join(in_words({"examples": schema.get("examples"), **each}) for each in schema["anyOf"])
    if choices := schema.get("enum") or schema.get("examples") if schema["type"] == "string" else None:
        return ", ".join(map(repr, choices))
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} values, each {in_words(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        return f"a list of {schema['minItems']} to {schema['maxItems']} widths, each {in_words(schema['items'])}"
    if schema["type"] in ("null", "boolean"):
        return {"null": "None", "boolean": "True or False"}[schema["type"]]
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{kind} from {low:,} to {high:,}"
    bounds = {"minimum": "of at least", "exclusiveMinimum": "above", "exclusiveMaximum": "and below"}
    return " ".join([kind, *(f"{words} {schema[key]:,}" for key, words in bounds.items() if key in schema)])
