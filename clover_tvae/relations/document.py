"""Relations as JSON and YAML write them: every kind, read with each problem in its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from clover_tvae.errors import MetadataError, Problem, did_you_mean
from clover_tvae.relations.computed import Computed, Predicate
from clover_tvae.relations.equality import Equal
from clover_tvae.relations.groups import Increments, OneHot
from clover_tvae.relations.lookup import Combinations, Dependency
from clover_tvae.relations.missing import MissingTogether, MissingWhen
from clover_tvae.relations.order import Inequality, Interval
from clover_tvae.relations.ranges import Ranges
from clover_tvae.relations.relation import Relation

__all__ = ["AnyRelation", "parse_relations", "read_relations", "relation_texts", "write_relations"]

Place = tuple[str | int, ...]
"""The way to a part of a document: keys, and positions in lists."""

AnyRelation = Annotated[
    Equal | Computed | Dependency | Combinations | Ranges | Inequality | Interval | OneHot | Increments
    | MissingTogether | MissingWhen | Predicate,
    Field(discriminator="kind"),
]  # fmt: skip
"""Every kind of relation, told apart by ``kind``."""

_READER: TypeAdapter[Any] = TypeAdapter(AnyRelation)


def parse_relations(plain: Any, names: Collection[Any]) -> tuple[tuple[Relation, ...], list[tuple[Place, str]]]:
    """Return the relations that a plain list says, and every problem with the way to it in the list.

    Args:
        plain: A list of objects, each with its ``kind``.
        names: The columns that there are.
    """
    if not isinstance(plain, list | tuple):
        return (), [((), f"must be a list, found {type(plain).__name__}")]
    relations: list[Relation] = []
    problems: list[tuple[Place, str]] = []
    for position, item in enumerate(plain):
        try:
            relation = item if isinstance(item, Relation) else _READER.validate_python(item)
        except ValidationError as error:
            for fault in error.errors(include_input=False, include_url=False, include_context=False):
                text = fault["msg"].removeprefix("Value error, ")
                problems.append(((position, *fault["loc"][1:]), text))
            continue
        relations.append(relation)
        problems += [
            ((position,), f"must name columns of the table, found {name!r}{did_you_mean(name, names)}")
            for name in dict.fromkeys(relation.columns)
            if name not in names
        ]
    return tuple(relations), problems


def read_relations(plain: Any, names: Collection[Any]) -> tuple[Relation, ...]:
    """Return the relations that a plain list says.

    Raises:
        MetadataError: With every problem and its place.
    """
    relations, problems = parse_relations(plain, names)
    if problems:
        spelt = [
            ("".join(f".{s}" if isinstance(s, str) else f"[{s}]" for s in place), text) for place, text in problems
        ]
        raise MetadataError([Problem(f"relations{place}", text) for place, text in spelt])
    return relations


def relation_texts(plain: Any) -> list[str]:
    """Return the relations of a plain list as sentences, without what they look up."""
    relations = (_READER.validate_python(item) for item in plain or ())
    return [f"{relation} ({relation.handling})" for relation in relations]


def write_relations(relations: Iterable[Relation]) -> list[dict[str, Any]]:
    """Return the plain list that ``read_relations`` reads."""
    return [relation.to_plain() for relation in relations]
