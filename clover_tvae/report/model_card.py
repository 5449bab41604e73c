"""The model card, or release sheet: what was trained on what, as rows for a page, as Markdown and as JSON.

Categories that a metadata may list (``order``) are counted, not shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from clover_tvae.evaluation.disclosure import card_to_show
from clover_tvae.parameters import CHECKED
from clover_tvae.report.formatting import count_text, decimal_text, printable, shortened
from clover_tvae.report.readings import readings

_TITLES = {
    "package": "Made by",
    "backend": "Backend",
    "writer": "Versions",
    "sha256": "Generator file, SHA-256",
    "random_state": "Seed",
    "seed": "Seed",
    "metadata": "Columns by kind",
    "rows": "Training rows",
    "columns": "Columns",
    "parameters": "Parameters",
    "training": "Training",
    "last": "last epoch",
    "privacy": "Privacy of the generator",
    "opens_without_running_code": "Opens without running code",
}
#: Why a training ended, in words.
_STOPPED = {
    "minutes": "by max_minutes, before it converged",
    "patience": "because the validation loss hardly fell any more",
    "epochs": "after the epochs planned",
}
_KINDS = ("continuous", "datetime", "categorical", "boolean", "ordinal", "id", "ignore")

NO_PROOF = (
    "Passing every check is no proof of anonymity: the figures find some leaks, not all. Whether the rows may be released "
    "is a decision of people."
)


def card_groups(card: Mapping[str, Any] | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the card as titled groups of name and text, the general one first; unknown keys are shown, too.

    Example:
        >>> card_groups({"rows": 900, "seed": None, "parameters": {"epochs": 3}})
        [('The generator', [('Training rows', '900'), ('Seed', 'none')]), ('Parameters', [('epochs', '3')])]
    """
    general: list[tuple[str, str]] = []
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for key, value in (card or {}).items():
        if isinstance(value, Mapping):
            rows = _metadata_rows(value) if key == "metadata" else _flat(value)
            groups += [(_title(key), rows)] if rows else []
        else:
            written = key == "rows" and _is_of_a_student(card)
            general.append(("Rows learnt, written by a teacher" if written else _title(key), plain_text(value)))
    return [("The generator", general), *groups] if general else groups


def beside_leak(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the card as it stands beside a leak that was found: without a quick check that found none, which would calm."""
    privacy = dict(card.get("privacy") or {})
    if privacy.get("membership_check") != CHECKED["not told"]:
        return card
    del privacy["membership_check"]
    return {**card, "privacy": privacy}


def membership_checked(card: Mapping[str, Any] | None) -> str:
    """Return what the check of membership at the end of the fit found, in words; empty where the card does not say."""
    return ((card or {}).get("privacy") or {}).get("membership_check") or ""


def _is_of_a_student(card: Mapping[str, Any] | None) -> bool:
    privacy = (card or {}).get("privacy")
    return isinstance(privacy, Mapping) and privacy.get("mode") == "student"


def card_markdown(card: Mapping[str, Any], figures: Any = None) -> str:
    """Return the release sheet as Markdown.

    Example:
        >>> print(card_markdown({"rows": 900}).splitlines()[0])
        # Model card of a synthetic data generator
    """
    lines = ["# Model card of a synthetic data generator", "", f"> {NO_PROOF}", ""]
    for name, rows in card_groups(card):
        lines += [f"## {_plain(name)}", "", "| | |", "| --- | --- |", *(_line(row) for row in rows), ""]
    lines += ["## Evaluation", ""]
    read = [
        _line((row.label, row.value, row.interval or "–", row.holdout, row.bootstrap, row.perfect))
        + _line((row.n, str(row.seed), row.reading)).removeprefix("|")
        for row in readings(figures or ())
    ]
    head = (
        "| figure | synthetic | interval | real holdout | bootstrap | perfect | n | seed | reading |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    )
    none = ("The generator's rows were not evaluated: nothing is known of their fidelity, utility or privacy.",)
    return "\n".join([*lines, *(head if read else none), *read, ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def card_json(card: Mapping[str, Any], figures: Any = None) -> str:
    """Return the release sheet as JSON: ``card``, ``figures`` (or null) and ``notice``; an ``order`` is a count."""
    content = {
        "format": "clover-tvae-card",
        "format_version": 1,
        "card": card_to_show(card),
        "figures": None if figures is None else figures.to_plain(),
        "notice": NO_PROOF,
    }
    return strict_json(content)


def strict_json(content: Any) -> str:
    """Return plain data as JSON in which a number that is not finite is null."""
    return json.dumps(_jsonable(content), indent=2, allow_nan=False, default=str)


def _title(key: Any) -> str:
    return _TITLES.get(key) or printable(key).replace("_", " ")


def _metadata_rows(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for kind in _KINDS:
        if names := metadata.get(kind):
            named = [name.get("name", "?") if isinstance(name, Mapping) else name for name in names]
            rows.append((f"{kind} ({len(named)})", ", ".join(shortened(printable(name), 60) for name in named)))
    if relations := metadata.get("relations"):
        rows.append((f"relations ({len(relations)})", "; ".join(shortened(printable(text), 120) for text in relations)))
    target = metadata.get("variable_to_predict")
    rows.append(("variable to predict", "none" if target is None else printable(target)))
    return rows


def _flat(value: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, inner in value.items():
        name = prefix + _title(key)
        if isinstance(inner, Mapping) and inner:
            rows += _flat(inner, f"{name}: ")
        else:
            stopped = _STOPPED.get(inner) if key == "stopped" and isinstance(inner, str) else None
            rows.append((name, stopped or plain_text(inner)))
    return rows


def plain_text(value: Any) -> str:
    """Return a plain value as a reader expects it: ``none``, yes or no, a number, or a list."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count_text(value) if abs(value) < 10**9 else str(value)
    if isinstance(value, float):
        return decimal_text(value, 4)
    if isinstance(value, Mapping):
        return "none" if not value else printable(dict(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) > 200:
            return f"{len(value)} entries"
        return ", ".join(plain_text(item) for item in value) or "none"
    return printable(value)


def _plain(text: str) -> str:
    """Return text that Markdown cannot take for anything else."""
    escaped = "".join("\\" + character if character in "\\`*_{}[]<>#|~!" else character for character in text)
    return escaped.replace("\n", " ")


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
