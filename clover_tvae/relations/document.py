"""Relations as JSON and YAML write them: every kind, read with each problem in its place."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from clover_tvae.errors import MetadataError, Problem, did_you_mean
from clover_tvae.relations.computed import Computed, Equal, Predicate
from clover_tvae.relations.groups import Increments, MissingTogether, MissingWhen, OneHot
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges
from clover_tvae.relations.order import Inequality, Interval
from clover_tvae.relations.relation import Relation

_QUOTED = "; identifiers are not learnt, and a text stands in quotes"

Place = tuple[str | int, ...]
"""The way to a part of a document: keys, and positions in lists."""

AnyRelation = Annotated[
    Equal | Computed | Dependency | Combinations | Ranges | Inequality | Interval | OneHot | Increments
    | MissingTogether | MissingWhen | Predicate,
    Field(discriminator="kind"),
]  # fmt: skip
"""Every kind of relation, told apart by ``kind``."""

_READER: TypeAdapter[Any] = TypeAdapter(AnyRelation)

RELATION_KEYS: dict[str, tuple[str, ...]] = {
    kind.model_fields["kind"].default: tuple(kind.model_fields) for kind in get_args(get_args(AnyRelation)[0])
}
"""The keys of each kind of relation."""


def spell(place: Place) -> str:
    """Write a place as ``continuous[2]`` or ``datetime.admitted.format``."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            step = step if re.fullmatch(r"[\w$-]+", step) else repr(step)
            text += f".{step}" if text else step
    return text


def relations_schema() -> dict[str, Any]:
    """Return the JSON Schema of one relation, its parts under ``$defs``."""
    schema = _READER.json_schema(ref_template="#/$defs/{model}")
    for kind in get_args(get_args(AnyRelation)[0]):
        described = schema["$defs"][kind.__name__]
        summary = (inspect.getdoc(kind) or "").partition("\n\n")[0]
        described["description"] = summary.replace("\n", " ").replace("``", "")
        described["required"] = ["kind", *described.get("required", [])]
        for key, text in arguments_told(kind).items():
            described["properties"][key]["description"] = text
    return schema


def arguments_told(described: type) -> dict[str, str]:
    """Return what the docstring of a class says of each of its arguments."""
    found = re.findall(r"^ {4}(\w+): ((?:.|\n {8})+)", inspect.getdoc(described) or "", re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("``", "") for name, text in found}


def parse_relations(plain: Any, names: Collection[Any]) -> tuple[tuple[Relation, ...], list[tuple[Place, str]]]:
    """Return the relations between the columns ``names`` that a plain list says, and every problem with the way to it in the list."""
    if not isinstance(plain, list | tuple):
        return (), [((), f"must be a list, found {type(plain).__name__}")]
    relations: list[Relation] = []
    problems: list[tuple[Place, str]] = []
    for position, item in enumerate(plain):
        try:
            relation = item if isinstance(item, Relation) else _READER.validate_python(item)
        except ValidationError as error:
            problems += [((position, *place), text) for place, text in _faults(error)]
            continue
        relations.append(relation)
        problems += [
            ((position,), f"must name columns that are learnt, found {name!r}{did_you_mean(name, names) or _QUOTED}")
            for name in dict.fromkeys(relation.columns)
            if name not in names
        ]
        if itself := set(relation.determines) & set(relation.sources):
            problems.append(((position,), f"must determine a column from others, found {itself.pop()!r} from itself"))
    return tuple(relations), problems


def _faults(error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with one relation, and where; the alternatives of one value are told together."""
    told: dict[Place, list[str]] = {}
    for fault in error.errors(include_input=False, include_url=False):
        kind, *steps = fault["loc"] or ("",)
        if fault["type"] == "extra_forbidden":
            keys = RELATION_KEYS[str(kind)]
            text = f"must be one of {', '.join(keys)}, found another{did_you_mean(steps[-1], keys)}"
        elif fault["type"].startswith("union_tag"):
            steps, text = ["kind"], f"must be one of {', '.join(RELATION_KEYS)}, found another"
            text += did_you_mean(fault.get("ctx", {}).get("tag", ""), RELATION_KEYS)
        else:
            text = "must be given" if fault["type"] == "missing" else _as_rule(fault["msg"])
        place = tuple(step for step in steps if step not in ("str", "int", "bool", "float"))
        told.setdefault(place, []).append(text)
    for place, texts in told.items():
        yield place, " or ".join(dict.fromkeys(texts)).replace(" or must", " or")


def _as_rule(message: str) -> str:
    """Return pydantic's words as ours.

    Example:
        >>> _as_rule("Tuple should have at least 2 items after validation, not 1")
        'must have at least 2 items, found 1'
    """
    rule = re.sub(r"^\w+ should", "must", message.removeprefix("Value error, "))
    rule = rule.replace(" after validation, not ", ", found ")
    return rule.replace("valid dictionary or object to extract fields from", "mapping")


def read_relations(plain: Any, names: Collection[Any]) -> tuple[Relation, ...]:
    """Return the relations that a plain list says.

    Raises:
        MetadataError: With every problem and its place.
    """
    relations, problems = parse_relations(plain, names)
    MetadataError.raise_any([Problem(spell(("relations", *place)), text) for place, text in problems])
    return relations


def said_once(relations: Iterable[Relation]) -> tuple[Relation, ...]:
    """Return relations without those that another says, in their first place; the last one says how each is handled."""
    once: dict[Any, Relation] = {}
    for relation in relations:
        said: Any = str(relation.declared().model_copy(update={"handling": "keep"}).to_plain())
        key = (relation.kind, frozenset(relation.columns)) if isinstance(relation, OneHot | Combinations) else said
        before = once.get(key, relation)
        is_known = before.is_learnt and (isinstance(relation, OneHot) or not relation.is_learnt)
        once[key] = before.model_copy(update={"handling": relation.handling}) if is_known else relation
    return tuple(once.values())


def relation_texts(plain: Any) -> list[str]:
    """Return the relations of a plain list as sentences, without what they look up."""
    relations = (_READER.validate_python(item) for item in plain or ())
    return [f"{relation} ({relation.handling})" for relation in relations]


def write_relations(relations: Iterable[Relation]) -> list[dict[str, Any]]:
    """Return the plain list that ``read_relations`` reads."""
    return [relation.to_plain() for relation in relations]
