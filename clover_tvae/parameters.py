"""What each parameter may be, and what it is where the user says nothing."""

from __future__ import annotations

__all__ = ["MIN_COUNT"]

#: Fewest people that a figure, a category's name or a stored value may rest on; fewer are withheld.
MIN_COUNT = 10
