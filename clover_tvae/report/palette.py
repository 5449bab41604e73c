"""Colours of every chart, on the page and in a notebook: Okabe and Ito's, which colour-blind readers tell apart.

Knows hex colours and nothing else.

References:
    Okabe, Ito (2008), Color Universal Design, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

__all__ = ["AXIS", "CLASSES", "HOLDOUT", "INK", "REAL", "SYNTHETIC", "diverging", "sequential"]

REAL = "#0072B2"
SYNTHETIC = "#D55E00"
HOLDOUT = "#009E73"
INK = "#1f2933"
AXIS = "#8a94a0"
CLASSES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7a7a7a")

_WHITE = (255, 255, 255)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mix(start: tuple[int, int, int], end: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
    return red, green, blue


def diverging(value: float) -> tuple[int, int, int]:
    """Return red, green and blue (0 to 255) for a value from -1 (orange) over 0 (white) to 1 (blue).

    Example:
        >>> diverging(0.0)
        (255, 255, 255)
    """
    bounded = max(-1.0, min(1.0, value))
    return _mix(_WHITE, _channels(REAL if bounded > 0 else SYNTHETIC), abs(bounded))


def sequential(value: float) -> tuple[int, int, int]:
    """Return red, green and blue (0 to 255) for a value from 0 (white) to 1 (dark orange).

    Example:
        >>> sequential(0.0)
        (255, 255, 255)
    """
    return _mix(_WHITE, (140, 45, 4), max(0.0, min(1.0, value)))
