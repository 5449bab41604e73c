"""A report on a synthetic table that a data-protection officer can read, and its charts for a notebook.

The names are imported when they are first used; the charts need the extra ``report``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clover_tvae.report.card import card_json, card_markdown
    from clover_tvae.report.compare import build_comparison, write_comparison
    from clover_tvae.report.generator import report_on
    from clover_tvae.report.measurement import measure
    from clover_tvae.report.page import Report, build_report, write_report
    from clover_tvae.report.plots import plot_history, plot_latent, plot_marginals, plot_pairs

__all__ = [
    "Report",
    "build_comparison",
    "build_report",
    "card_json",
    "card_markdown",
    "measure",
    "plot_history",
    "plot_latent",
    "plot_marginals",
    "plot_pairs",
    "report_on",
    "write_comparison",
    "write_report",
]

_HOMES = {
    "Report": "page",
    "build_report": "page",
    "write_report": "page",
    "build_comparison": "compare",
    "write_comparison": "compare",
    "card_json": "card",
    "card_markdown": "card",
    "measure": "measurement",
    "plot_history": "plots",
    "plot_latent": "plots",
    "plot_marginals": "plots",
    "plot_pairs": "plots",
    "report_on": "generator",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"clover_tvae.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'clover_tvae.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
