"""SDV's names: taken where they mean the same here, refused with ours where they do not.

It knows SDV's public names, and imports nothing of SDV.

References:
    SDV 2, TVAESynthesizer: https://docs.sdv.dev/sdv/single-table-data/modeling/synthesizers/tvaesynthesizer
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import pandas as pd

from clover_tvae.columns.frames import same_kind
from clover_tvae.errors import ConditionError, ConfigError, DataError, Problem
from clover_tvae.metadata import Metadata
from clover_tvae.metadata.exchange import no_attribute

_Call = TypeVar("_Call", bound=Callable[..., Any])

#: SDV's arguments that are ours under another name.
_RENAMED = {"num_rows": "n_rows", "data": "df", "filepath": "path"}
_NO_REJECTION = "is not needed: every row that is drawn meets its conditions; leave it out"
_WRITE = "write the rows yourself: clover_tvae.tables.write_table(rows, 'rows.csv')"
_DECLARED = "declare the columns in 'metadata', such as {'continuous': ['age'], 'categorical': ['sex']}"
#: SDV's arguments, those of versions 0 and 1 too, that have no equal here, and what to write instead.
_INSTEAD = {
    "max_tries_per_batch": _NO_REJECTION,
    "max_tries": _NO_REJECTION,
    "batch_size_per_try": _NO_REJECTION,
    "batch_size": "is not needed: rows are drawn in blocks of flat size; sample_frames(n_rows) gives them one by one",
    "output_file_path": _WRITE,
    "output_folder_path": _WRITE,
    "main_table_name": "there is one table; leave it out",
    "randomize_samples": "write sample(n_rows, random_state=0) for the same rows each time",
    "title": "the chart has its own title; leave it out, or draw 'history' yourself",
    "primary_key": "is a column of kind 'id' in 'metadata': {'id': [{'name': 'no', 'regenerate': 'sequence'}]}",
    "field_names": _DECLARED,
    "field_types": _DECLARED,
    "field_transformers": _DECLARED,
    "table_metadata": "is 'metadata' here: Metadata.of(dict), or Metadata.infer(df)",
    "anonymize_fields": "is a column of kind 'ignore', or an 'id' that is made anew, in 'metadata'",
    "constraints": "call add_constraints([...]) before fit(): it takes SDV's",
    "rounding": "is not needed: rows have the decimals of the table; leave it out",
    "min_value": "is not needed: rows stay in the range of the table; leave it out",
    "max_value": "is not needed: rows stay in the range of the table; leave it out",
    "locales": "there is no Faker here: a column of personal data is of kind 'ignore', or an 'id' that is made anew",
}
_KINDS = "how a column is transformed follows from its kind: metadata={'continuous': [...], 'categorical': [...]}"
#: SDV's methods that have no equal here.
_METHODS_INSTEAD = {
    "auto_assign_transformers": _KINDS,
    "get_transformers": _KINDS,
    "update_transformers": _KINDS,
    "preprocess": "write prepare(df), which checks the table; fit() does so too",
    "fit_processed_data": "write fit(df) with the table as it is",
    "validate": "write metadata.validate(df)",
    "get_constraints": "write metadata.relations",
    "validate_constraints": "relations are kept in every row; metadata.relations lists them",
    "reverse_transform_constraints": "relations are kept in every row; metadata.relations lists them",
    "load_custom_constraint_classes": "write a relation as an expression: add_constraints([{'expression': 'a + b == c'}])",
    "get_info": "write card()",
    "sample_conditions": "write sample_from_conditions([...]), or sample(n_rows, conditions={'sex': 'F'})",
}


def takes_names_of_sdv(call: _Call) -> _Call:
    """Let a method take SDV's names of its arguments; those without an equal are refused together, with what to write instead."""
    ours = inspect.signature(call).parameters

    @wraps(call)
    def called(self: Any, *args: Any, **given: Any) -> Any:
        if call.__name__ == "__init__":
            first, given = _constructor(args, given)
            args = tuple(first)
        _refuse(name for name in given if name in _INSTEAD and name not in ours)
        for name in [name for name in given if _RENAMED.get(name) in ours and name not in ours]:
            if _RENAMED[name] in given:
                raise ConfigError(f"is '{_RENAMED[name]}' here, which is given too; leave one out", name)
            given[_RENAMED[name]] = given.pop(name)
        return call(self, *args, **given)

    return cast(_Call, called)


def _refuse(names: Any) -> None:
    ConfigError.raise_any([Problem(name, _INSTEAD[name]) for name in names])


def _constructor(args: Sequence[Any], given: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the arguments of a constructor as ours: SDV's metadata comes first, its device is a truth value."""
    first = args[0] if args else None
    if args and (isinstance(first, Metadata) or type(first).__module__.split(".")[0] == "sdv"):
        if len(args) > 1 or "metadata" in given:
            text = "must be the table; where the metadata comes first, as in SDV, give all else by keyword: epochs=300"
            raise DataError(text, "df")
        args, given = (), {"metadata": first, **given}
    engine = given.get("backend") == "sdv"
    for name in ("enforce_min_max_values", "enforce_rounding"):
        if given.get(name) is True and not engine:  # as it always is with our engine
            del given[name]
    for name in ("enable_gpu", "cuda"):
        if name in given:
            if "device" in given:
                raise ConfigError("is 'device' here, which is given too; leave one out", name)
            asked = given.pop(name)
            given["device"] = {True: "auto", False: "cpu"}[asked] if isinstance(asked, bool) else asked
    if "l2scale" in given:
        if "weight_decay" in given or not (engine or given.get("decoder") == "independent"):
            text = (
                "is 'weight_decay' here: of the default decoder it is no L2 penalty and 0.02, so leave it out, "
                "or give decoder='independent', which has SDV's"
            )
            raise ConfigError(text, "l2scale")
        given["weight_decay"] = given.pop("l2scale")
    return args, given


class MethodsOfSDV:
    """The methods that SDV's ``TVAESynthesizer`` has and ours calls otherwise."""

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(f"{type(self).__name__!r} object", name, _METHODS_INSTEAD)

    @takes_names_of_sdv
    @same_kind
    def sample_from_conditions(self: Any, conditions: Sequence[Any]) -> pd.DataFrame:
        """Draw rows that meet conditions, those of the first object first.

        Args:
            conditions: Objects of SDV: ``Condition(num_rows=..., column_values={...})``, ``DataFrameCondition(dataframe=...)``.

        Raises:
            ConditionError: One is none, or no row can meet it.
        """
        drawn = []
        for one in conditions if isinstance(conditions, Sequence) else [conditions]:
            values, rows = getattr(one, "column_values", None), getattr(one, "dataframe", None)
            if isinstance(values, Mapping):
                drawn.append(self.sample(one.num_rows, conditions=values))
            elif isinstance(rows, pd.DataFrame):
                drawn.append(self.sample(conditions=rows))
            else:
                text = "must be a list of SDV's Condition objects, found {}; sample(100, conditions={{'sex': 'F'}}) takes a dict"
                raise ConditionError(text.format(type(one).__name__), "conditions")
        if not drawn:
            raise ConditionError("must hold at least one condition, found none", "conditions")
        return pd.concat(drawn, ignore_index=True)

    @takes_names_of_sdv
    def sample_remaining_columns(self: Any, known_columns: pd.DataFrame) -> pd.DataFrame:
        """Draw the cells that partial rows lack: ``sample(conditions=known_columns)``."""
        return self.sample(conditions=known_columns)

    def get_loss_values(self: Any) -> pd.DataFrame:
        """Return the loss of each epoch, ``Epoch`` and ``Loss``; ``history`` has the parts of it, and those of the validation."""
        return self.history[["epoch", "loss"]].set_axis(["Epoch", "Loss"], axis=1)

    @takes_names_of_sdv
    def get_loss_values_plot(self: Any) -> Any:
        """Draw the learning curves: ``plot_history()``."""
        return self.plot_history()

    def get_parameters(self: Any) -> dict[str, Any]:
        """Return what the constructor was given: ``get_params()``."""
        return self.get_params()

    def get_metadata(self: Any) -> Metadata:
        """Return what each column is: ``metadata``; its ``to_sdv()`` is SDV's form."""
        return self.metadata
