"""The description of a whole table: one frozen object, and its ways in and out.

It hands the work to its neighbours: ``document`` (dicts), ``json_file``, ``infer``, ``validate``, ``exchange`` (SDV's form).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from clover_tvae.columns.cells import plain_cell
from clover_tvae.columns.dtypes import where_of
from clover_tvae.columns.frames import read_frame, same_library
from clover_tvae.columns.html_table import html_table
from clover_tvae.columns.people import least_rows, people_of
from clover_tvae.errors import DataError, MetadataError, Problem, did_you_mean, warn
from clover_tvae.metadata import document, exchange, json_file
from clover_tvae.metadata.column import KINDS, Column, Kind, unknown_kind
from clover_tvae.metadata.infer import (
    MADE_ANEW,
    PLACEHOLDER,
    REPEATS,
    MetadataWarning,
    inferred,
)
from clover_tvae.metadata.proposals import Finding
from clover_tvae.metadata.readings import fill_table, read_table, write_table
from clover_tvae.metadata.unit import has_placeholder, likely_unit
from clover_tvae.metadata.validate import raise_problems, require_frame
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.relations.document import read_relations, said_once
from clover_tvae.relations.find import Found, find_relations
from clover_tvae.relations.lookup import Combinations, Ranges
from clover_tvae.relations.relation import Relation
from clover_tvae.relations.sdv import read_constraint, to_constraint


@dataclass(frozen=True, eq=False)
class Metadata(metaclass=exchange.NamesOfSDV):
    """What each column of a table is, and which one a model would predict.

    The object is frozen. Columns are kept in the order of their kinds, and two descriptions are equal when they say
    the same of the same columns, in whatever order they list them.

    Args:
        columns: One :class:`Column` a column of the table.
        variable_to_predict: The name of the column that downstream models predict; ``None`` if there is none.
        reasons: Why :meth:`infer` took each column for what it says; neither compared nor saved.
        relations: What holds between columns; ``None``: not said, so that ``fit`` looks for them; empty: nothing.
        unit: The column that tells which rows are of one person, where a person has several.
        review: What :meth:`infer` found that its owner should look at; neither compared nor saved.

    Raises:
        MetadataError: A column is listed twice, or ``variable_to_predict`` is not a modelled column.

    Example:
        >>> meta = Metadata.of({"continuous": ["age"], "categorical": ["sex"], "variable_to_predict": "sex"})
        >>> meta.column("age").kind
        'continuous'
        >>> meta
        Metadata(2 columns: 1 continuous, 1 categorical; predicts 'sex')
        >>> meta == Metadata.from_dict(meta.to_dict())
        True
    """

    columns: tuple[Column, ...]
    variable_to_predict: Hashable | None = None
    reasons: Mapping[Hashable, str] = field(default_factory=dict, repr=False)
    relations: tuple[Relation, ...] | None = None
    unit: Hashable | None = None
    review: tuple[Finding, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not all(isinstance(column, Column) for column in self.columns):
            raise MetadataError("must be Column objects; Metadata.of takes a dict of names", "columns")
        columns = tuple(sorted(self.columns, key=lambda column: KINDS.index(column.kind)))
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "variable_to_predict", plain_cell(self.variable_to_predict))
        object.__setattr__(self, "reasons", dict(self.reasons))
        doubled = document.duplicate_problems((column.name, column.kind) for column in columns)
        problems = [Problem(where_of(name), text) for name, text in doubled]
        kinds = {column.name: column.kind for column in columns}
        faults = document.column_faults(self.variable_to_predict, self.unit, kinds)
        problems += [Problem(key, fault) for key, fault in faults.items()]
        MetadataError.raise_any(problems)

    def __getattr__(self, name: str) -> Any:
        raise exchange.no_attribute("'Metadata'", name)

    def __repr__(self) -> str:
        kinds = Counter(column.kind for column in self.columns)
        parts = [f"{len(self.columns)} columns: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())]
        parts += [] if self.variable_to_predict is None else [f"predicts {self.variable_to_predict!r}"]
        parts += [] if self.unit is None else [f"people by {self.unit!r}"]
        parts += [f"{len(self.relations)} relations"] if self.relations else []
        return f"Metadata({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        rows = []
        for column in self.columns:
            options = ", ".join(f"{option}: {value}" for option, value in column.options.items())
            rows.append((column.name, column.kind, options, self.reasons.get(column.name, "")))
        return html_table(repr(self), ("column", "kind", "how it is written", "why"), rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return frozenset(self.columns), self.variable_to_predict, self.relations, self.unit

    @cached_property
    def _by_name(self) -> dict[Hashable, Column]:
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> tuple[Hashable, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def modelled(self) -> tuple[Column, ...]:
        """The columns that the network learns: all but ``id`` and ``ignore``."""
        return tuple(column for column in self.columns if column.modelled)

    @property
    def relations_told(self) -> str:
        """One line on the relations: how many are kept, and the first of them."""
        kept = [str(relation) for relation in self.relations or () if relation.handling == "keep"]
        n_learnt = sum(relation.handling == "learn" for relation in self.relations or ())
        first = "; ".join(kept[:3]) + "; ..." * (len(kept) > 3)
        return f"relations {len(kept)} kept in every row{f' ({first})' if kept else ''}, {n_learnt} left to the network"

    def of_kind(self, *kinds: Kind) -> tuple[Hashable, ...]:
        """Return the names of the columns of these kinds.

        Raises:
            MetadataError: There is no such kind.

        Example:
            >>> Metadata.of({"continuous": ["age"], "id": ["patient"]}).of_kind("id", "ignore")
            ('patient',)
        """
        for kind in kinds:
            if kind not in KINDS:
                raise MetadataError(unknown_kind(kind), "kinds")
        return tuple(column.name for column in self.columns if column.kind in kinds)

    def column(self, name: Hashable) -> Column:
        """Return the column of this name.

        Raises:
            MetadataError: There is none.
        """
        if name in self._by_name:
            return self._by_name[name]
        raise MetadataError(f"the metadata has no such column{did_you_mean(name, self.names)}", f"column {name!r}")

    @classmethod
    def of(cls, obj: Metadata | Mapping[str, Any] | str | Path) -> Metadata:
        """Return the description that ``obj`` is: a :class:`Metadata`, Clover's dict, the path of a JSON file, or SDV's own object.

        Raises:
            MetadataError: It is none of these, or it is wrong; with every problem.
        """
        if isinstance(obj, Metadata):
            return obj
        if isinstance(obj, Mapping):
            return cls.from_dict(obj)
        if isinstance(obj, str | Path):
            return cls.load(obj)
        if type(obj).__module__.split(".")[0] == "sdv":
            return cls.from_sdv(obj)
        raise MetadataError(
            f"must be a Metadata, a dict or the path of a JSON file, found {type(obj).__name__}; "
            "Metadata.infer(df) makes one from a table",
            "metadata",
        )

    @classmethod
    def from_dict(cls, obj: Mapping[str, Any]) -> Metadata:
        """Read Clover's plain form.

        Args:
            obj: ``{"continuous": [...], "categorical": [...], "variable_to_predict": name or None}``, with optional
                ``boolean``, ``ordinal``, ``datetime``, ``id`` and ``ignore``. Each kind is a list of names or of
                ``{"name": ..., option: ...}``, or a mapping of names to options.

        Raises:
            MetadataError: With every problem and its place, such as ``datetime.admitted.format``.

        Example:
            >>> Metadata.from_dict({"datetime": {"admitted": {"format": "%Y-%m-%d"}}}).column("admitted").format
            '%Y-%m-%d'
        """
        return cls(*document.read_document(obj))

    def to_dict(self) -> dict[str, Any]:
        """Return the shortest plain form, which :meth:`from_dict` reads back exactly.

        Example:
            >>> Metadata((Column("age", "continuous"), Column("no", "id", regenerate="sequence"))).to_dict()
            {'continuous': ['age'], 'categorical': [], 'id': [{'name': 'no', 'regenerate': 'sequence'}], 'variable_to_predict': None}
        """
        return document.write_document(self.columns, self.variable_to_predict, self.relations, self.unit)

    @classmethod
    def load(cls, path: str | Path) -> Metadata:
        """Read a JSON file.

        Raises:
            MetadataError: The file is missing, too large, no JSON or no metadata; with file, line and column.
        """
        return cls(*json_file.load_document(Path(path)))

    def save(self, path: str | Path) -> None:
        """Write a JSON file, atomically.

        Raises:
            TableFileError: The file cannot be written; an older one stands.
        """
        json_file.save_document(self.to_dict(), Path(path))

    @classmethod
    def infer(
        cls, df: pd.DataFrame, variable_to_predict: Hashable | None = None, *, set: Mapping[Hashable, str] | None = None
    ) -> Metadata:
        """Say what each column of a table looks like, with :attr:`reasons`.

        Warns with :class:`MetadataWarning` for every column that looks like an identifier, free text, a date or
        numbers written as text, and for every column that cannot be modelled. No warning quotes what fewer than five people share.

        Args:
            variable_to_predict: The name of the column to predict, if any.
            set: What you say of single columns, in a word each: ``number``, ``decimal-comma``, ``decimal-point``, ``pair``,
                ``date``, ``day-first``, ``month-first``, ``boolean``, ``ordinal``, ``category``, ``id``, ``drop``; ``missing``: the
                markers that were found, or ``missing:999;unknown``, are missing; ``keep``: it is as proposed.

        Raises:
            MetadataError: A word of ``set`` is none, is of no column, or does not fit the cells.
            DataError: ``df`` is not a DataFrame with one level of unique column names, or has no rows.

        Example:
            >>> import pandas as pd
            >>> meta = Metadata.infer(pd.DataFrame({"age": [23.5, 41.0, 37.2], "sex": ["F", "M", "F"]}))
            >>> meta.column("sex").kind, meta.reasons["sex"]
            ('categorical', 'text with 2 distinct values')
        """
        findings = inferred(read_frame(df)[0], set)
        for finding in findings:
            if finding.warning:
                warn(f"column {finding.name!r}: {finding.told}", MetadataWarning)
        reasons = {column.name: found.reason for found in findings for column in found.columns}
        unit = next((found.name for found in findings if found.is_unit), None)
        columns = tuple(column for found in findings for column in found.columns)
        review = tuple(found for found in findings if found.warning or found.words)
        return cls(columns, variable_to_predict, reasons, unit=unit, review=review)

    def with_relations(self, df: pd.DataFrame, *, min_count: int = MIN_COUNT) -> Metadata:
        """Return the description with what holds between the columns of a table.

        Relations that are declared stay, and learn what they must know of the table, such as the values of a look-up;
        where none are declared, they are looked for.

        Args:
            min_count: Fewest people on whom a value that a relation holds may rest.

        Raises:
            MetadataError: A column holds what a declared relation cannot compare or compute; or rows of the table break one
                that is to be kept; with their number, as far as it is no small count.

        Example:
            >>> import pandas as pd
            >>> df = pd.DataFrame({"low": range(50), "high": [i + i % 7 for i in range(50)]})
            >>> made = Metadata.of({"continuous": ["low", "high"]}).with_relations(df)
            >>> [str(relation) for relation in made.relations]
            ['high is low plus a length that is never negative']
        """
        df = self.read(read_frame(df)[0])
        if self.relations is None:
            return replace(self, relations=tuple(one.relation for one in self.find_relations(df, min_count=min_count)))
        problems, learnt = [], list[Relation]()
        people = people_of(df, self.unit)
        least = least_rows(people, min_count)
        for i, relation in enumerate(self.relations):
            place = f"relations[{i}]"
            if relation.handling == "ignore":
                learnt.append(relation)
                continue
            try:
                is_look_up = isinstance(relation, Combinations | Ranges)
                made = relation.learnt(df, min_count, people) if is_look_up or not relation.is_learnt else relation
                learnt.append(relation if relation.is_learnt else made)
                # A rare combination, or a number far from all others, is no exception of what is learnt of it and the others.
                n = 0 if is_look_up and learnt[-1] == made else learnt[-1].exceptions(df, least)
            except DataError as error:
                problems += [Problem(place, f"{relation}: {problem}") for problem in error.problems]
                continue
            if relation.handling == "keep" and n:
                rows = f"fewer than {least}" if n < least else f"{n:,}"
                text = f"{relation}: must hold in every row to be kept, found {rows} rows that break it; mend them, or write handling: learn"
                problems.append(Problem(place, text))
        MetadataError.raise_any(problems)
        return replace(self, relations=tuple(learnt))

    def find_relations(self, df: pd.DataFrame, *, min_count: int = MIN_COUNT) -> list[Found]:
        """Look for what holds between the columns of a table, each with its support and exceptions.

        Args:
            min_count: Fewest people on whom a value or a count may rest.
        """
        df = self.read(read_frame(df)[0])
        kinds = {c.name: c.kind for c in self.columns if c.name in df}
        return find_relations(df, kinds, min_count=min_count, people=people_of(df, self.unit))

    def add_constraints(self, constraints: Iterable[Any]) -> Metadata:
        """Return the description with constraints written as SDV writes them, or with relations.

        What is declared already is not kept twice: the last one says how it is handled.

        Args:
            constraints: Each a dict such as ``{"constraint_class": "Inequality", "constraint_parameters": {...}}``, an
                object of SDV such as ``sdv.cag.Inequality``, or a relation: an object, or a dict with its ``kind``.

        Raises:
            MetadataError: There is no such constraint, or it names a column that is not there.

        Example:
            >>> order = {"low_column_name": "low", "high_column_name": "high"}
            >>> meta = Metadata.of({"continuous": ["low", "high"]}).add_constraints(
            ...     [{"constraint_class": "Inequality", "constraint_parameters": order}, {"kind": "predicate", "expression": "low > 0"}]
            ... )
            >>> [str(relation) for relation in meta.relations]
            ['low <= high', 'low > 0']
            >>> meta.to_sdv_constraints()[0]["constraint_class"]
            'Inequality'
        """
        if isinstance(constraints, Mapping | str) or not isinstance(constraints, Iterable):
            raise MetadataError(f"must be a list of constraints, found {type(constraints).__name__}", "constraints")
        made = [c if isinstance(c, Mapping) and "kind" in c else read_constraint(c) for c in constraints]
        names = [column.name for column in self.modelled]
        return replace(self, relations=said_once(read_relations([*(self.relations or ()), *made], names)))

    @same_library
    def read(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return a table as it is learnt: texts read as the columns say (``read_as``, ``missing``, ``formats``...).

        What is read already passes as it is, so that reading twice changes nothing.

        Raises:
            DataError: Cells that cannot be read, with their number and the first rows; no cell is quoted.

        Example:
            >>> import pandas as pd
            >>> meta = Metadata.of({"continuous": {"weight": {"read_as": "number", "unit": "kg", "missing": ["unknown"]}}})
            >>> meta.read(pd.DataFrame({"weight": ["70.5 kg", "unknown"]}))["weight"].tolist()
            [70.5, nan]
            >>> meta.written(pd.DataFrame({"weight": [61.5]}))["weight"].tolist()
            ['61.5 kg']
        """
        read, problems = read_table(self.columns, df)
        DataError.raise_any(problems)
        return read

    @same_library
    def written(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows as they are learnt (see :meth:`read`) written as the table was: units and limits are back, markers are not.

        Missing cells are empty, whatever marked them, and what was spelt in several ways is spelt in one.
        """
        return write_table(self.columns, rows)

    def filled(self, df: pd.DataFrame, completed: pd.DataFrame) -> pd.DataFrame:
        """Return ``df`` with what ``completed``, its gaps filled as it is learnt, has for them; all else as it is spelt."""
        return fill_table(self.columns, df, completed)

    def validate(self, df: pd.DataFrame) -> None:
        """Check a table against this description, all of it, and say nothing if it fits.

        Columns may come in any order. Columns of kind ``ignore``, and of kind ``id`` that are dropped, may be absent.

        Args:
            df: The table, at least 2 rows.

        Raises:
            DataError: With every problem; a subclass if all problems are of one class. No message quotes a cell.
        """
        df, _ = read_frame(df)
        require_frame(df, duplicates_too=False)
        df, unread = read_table(self.columns, df)
        raise_problems(self.columns, df, self.unit, unread)
        if self.unit is None and (name := likely_unit(df, self.of_kind("id", "ignore"))) is not None:
            warn(f"column {name!r}: {REPEATS}", MetadataWarning)
        if self.unit is not None and has_placeholder(df[self.unit]):
            warn(f"column {self.unit!r}: {PLACEHOLDER}", MetadataWarning)
        for column in self.columns:
            if column.regenerate is not None and 0 < 1.25 * df[column.name].nunique() <= df[column.name].count():
                warn(f"column {column.name!r}: {MADE_ANEW}", MetadataWarning)

    def to_sdv(self) -> dict[str, Any]:
        """Return the description as the dict of SDV 2, as ``sdv.metadata.Metadata.load_from_dict`` takes it.

        Time zones, ``regenerate`` other than a pattern, and the variable to predict have no place there. ``ignore``
        becomes SDV's ``unknown``; constraints are in :meth:`to_sdv_constraints`.

        Raises:
            MetadataError: A name is not text, which SDV needs.
        """
        return exchange.to_sdv(self.columns)

    def to_sdv_constraints(self) -> list[dict[str, Any]]:
        """Return the relations that SDV has, as the list of dicts that its synthesizers take in ``add_constraints``.

        They have no place in SDV's metadata. :meth:`add_constraints` reads them back.
        """
        made = (to_constraint(relation) for relation in self.relations or () if relation.handling == "keep")
        return [constraint for constraint in made if constraint is not None]

    @classmethod
    def from_sdv(cls, obj: Any) -> Metadata:
        """Read the metadata of SDV: its dict, or any object with ``to_dict()``, with one table.

        Kinds of personal data (``email``, ``phone_number``...) become ``ignore``, with a reason.

        Raises:
            MetadataError: It is no SDV metadata, or holds several tables.
        """
        columns, reasons = exchange.from_sdv(obj)
        return cls(columns, None, reasons)
