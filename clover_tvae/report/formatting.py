"""Names, numbers and shares as text that is safe to show; escaping for HTML is the template's work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clover_tvae.evaluation.disclosure import Disclosure

_JOINERS = {"\u200d", "\ufe0f"}  # invisible, and part of many emoji


def printable(value: Any) -> str:
    r"""Return any name or category as text that every browser, file and terminal can show.

    Lone surrogates, control characters and characters that turn the direction of writing become escapes.

    Example:
        >>> printable("caf\u00e9"), printable("a\udcffb"), printable("\u202etxt")
        ('café', 'a\\udcffb', '\\u202etxt')
    """
    text = value if isinstance(value, str) else str(value)
    shown = "".join(
        character
        if character.isprintable() or character in _JOINERS
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    return shown if shown.strip() else repr(shown)


def shortened(text: str, length: int = 28) -> str:
    """Return the text with its end cut to an ellipsis beyond ``length`` characters.

    Example:
        >>> shortened("a very long name of a column", 10)
        'a very lo…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def unique_labels(values: Sequence[Any]) -> list[str]:
    """Return one label a value; where ``1`` and ``"1"`` would read alike, their Python form.

    Example:
        >>> unique_labels(["F", "M"]), unique_labels([1, "1"])
        (['F', 'M'], ['1', "'1'"])
    """
    labels = [printable(value) for value in values]
    if len(set(labels)) == len(labels):
        return labels
    return [printable(repr(value)) for value in values]


def number_text(value: float) -> str:
    """Return a number of an axis: few digits, and no exponent for the sizes that people read.

    Example:
        >>> number_text(250000.0), number_text(0.05), number_text(-3.0), number_text(2e9)
        ('250,000', '0.05', '-3', '2e+09')
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    return f"{value:.6g}"


def edge_labels(edges: Sequence[float]) -> list[str]:
    """Return evenly spaced numbers with as many decimals as tell them apart.

    Example:
        >>> edge_labels([0.0, 0.25, 0.5]), edge_labels([1000000.0, 1000001.0])
        (['0.00', '0.25', '0.50'], ['1,000,000', '1,000,001'])
    """
    step = (edges[-1] - edges[0]) / max(len(edges) - 1, 1)
    if not 1e-6 <= step < 1e15 or max(abs(edges[0]), abs(edges[-1])) >= 1e15:
        return [number_text(edge) for edge in edges]
    decimals = 0 if float(step).is_integer() else max(1, 1 - math.floor(math.log10(step)))
    while decimals and all(abs(round(edge, decimals - 1) - edge) < step * 1e-6 for edge in edges):
        decimals -= 1
    return [f"{edge + 0.0:,.{decimals}f}" for edge in edges]


def decimal_text(value: float | None, digits: int = 3) -> str:
    """Return a figure with ``digits`` significant digits, or a dash where there is none.

    Example:
        >>> decimal_text(0.52345), decimal_text(12.34567), decimal_text(None), decimal_text(float("nan"))
        ('0.523', '12.3', '–', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 10**digits - 0.5:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".removesuffix(".")


def percent_text(share: float | None) -> str:
    """Return a share from 0 to 1 in percent.

    Example:
        >>> percent_text(0.1234), percent_text(1.0), percent_text(0.0), percent_text(0.0003), percent_text(None)
        ('12.3%', '100%', '0%', '<0.1%', '–')
    """
    if share is None or not math.isfinite(share):
        return "–"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def count_text(count: float) -> str:
    """Return a whole number with thousands set apart.

    Example:
        >>> count_text(32561)
        '32,561'
    """
    return f"{int(count):,}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a phrase.

    Example:
        >>> listed(["age", "sex"]), listed(["a", "b", "c"], most=2)
        ('age and sex', 'a, b and 1 more')
    """
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else "none"


def real_share_text(share: float | None, disclosure: Disclosure) -> str:
    """Return a share of real rows in percent, or the words for one that is withheld (NaN).

    Example:
        >>> from clover_tvae.evaluation.disclosure import Disclosure
        >>> real_share_text(0.25, Disclosure(10)), real_share_text(float("nan"), Disclosure(10))
        ('25.0%', 'under 10 rows')
    """
    return disclosure.withheld if share is not None and math.isnan(share) else percent_text(share)
