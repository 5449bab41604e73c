"""A report on a synthetic table that a data-protection officer can read, and its charts for a notebook."""

from __future__ import annotations

from clover_tvae.report.comparison_page import build_comparison, write_comparison
from clover_tvae.report.dossier import Dossier, build_dossier
from clover_tvae.report.model_card import card_groups, card_json, card_markdown
from clover_tvae.report.page import Report, about_generator, build_report, report_on, write_report
from clover_tvae.report.plots import plot_history, plot_latent, plot_marginals, plot_pairs
from clover_tvae.report.readings import readings
from clover_tvae.report.svg import Chart

__all__ = [
    "Chart", "Dossier", "Report", "about_generator", "build_comparison", "build_dossier", "build_report", "card_groups",
    "card_json", "card_markdown", "plot_history", "plot_latent", "plot_marginals", "plot_pairs", "readings",
    "report_on", "write_comparison", "write_report",
]  # fmt: skip
