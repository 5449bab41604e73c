"""The catalogue of figures: title, unit, direction and meaning of every key, ``section.name``.

A key stays the same from version to version: limits and pipelines rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "target"]


@dataclass(frozen=True)
class Meaning:
    """What a figure's key stands for.

    Args:
        title: A short name for people.
        unit: ``"%"``, ``"share"`` (0 to 1), ``"AUC"``, ``"ratio"``, ``"count"`` or ``"score"``.
        note: What it says, and what it cannot say.
        better: ``"lower"``, ``"higher"``, or ``"target"``: the nearer to ``perfect`` the better.
        perfect: What a perfect generator would score; ``None`` where only the holdout can tell.
    """

    title: str
    unit: str
    note: str
    better: Better = "lower"
    perfect: float | None = None


_NOT_PROOF = "A good value is no proof that the table is safe to publish."

_FIDELITY = {
    "c2st_heldout": Meaning(
        "Real or synthetic, told by trees (C2ST)",
        "AUC",
        "How well gradient-boosted trees tell the synthetic rows from real rows that were never learnt: 0.5 is a coin, 1 "
        "is always. The figure that sees whole rows.",
        better="target",
        perfect=0.5,
    ),
    "shape_heldout": Meaning(
        "Shape error",
        "%",
        "Mean distance of the columns' distributions from those of real rows that were never learnt. Says nothing about "
        "how columns go together.",
    ),
    "trend_heldout": Meaning(
        "Trend error",
        "%",
        "Mean distance over the pairs of columns, from real rows that were never learnt, numbers in these rows' 10 bins.",
    ),
    "c2st": Meaning(
        "C2ST against the learnt rows",
        "AUC",
        "The trees tell synthetic from learnt rows. Clearly below 0.5, as for the bootstrap, means copies: the trees take a "
        "copy for the real row that they learnt.",
        better="target",
        perfect=0.5,
    ),
    "shape": Meaning(
        "Shape error against the learnt rows",
        "%",
        "Below the floor of a fresh sample the table follows its training rows, not the population.",
    ),
    "trend_shared": Meaning("Trend error against the learnt rows", "%", "Numbers in the learnt table's 10 bins."),
    "relations_broken": Meaning(
        "Relations broken, mean",
        "%",
        "Mean share of rows that break a relation to be kept: declared so, or found to hold in every real row.",
    ),
    "relations_worst": Meaning(
        "Relations broken, worst", "%", "Share of rows that break the relation broken most often."
    ),
    "categories_present": Meaning(
        "Real categories that appear", "%", "Share of the real categories that appear at all.", better="higher"
    ),
    "rare_frequency": Meaning(
        "Frequency of rare categories",
        "ratio",
        "Frequency of the categories under 1% of the real rows, all together, over their real frequency.",
        better="target",
        perfect=1.0,
    ),
    "unseen_categories": Meaning(
        "Cells with categories never seen", "%", "Cells whose category the real table does not have.", perfect=0.0
    ),
    "out_of_range": Meaning(
        "Numbers out of range", "%", "Cells outside the real column's smallest and largest value.", perfect=0.0
    ),
    "missing_rate": Meaning(
        "Missing rate, largest difference",
        "%",
        "Largest difference of a column's share of missing cells, in percentage points.",
    ),
    "decimals": Meaning(
        "Columns with more decimals than real", "count", "Number columns written more finely than real.", perfect=0.0
    ),
    "dtypes": Meaning(
        "Columns of another dtype", "count", "Columns whose dtype is of another kind than the real one.", perfect=0.0
    ),
    "duplicates": Meaning(
        "Rows that occur more than once", "%", "Rows that are the same as an earlier one of the table.", better="target"
    ),
}

_SCORES: dict[str, tuple[str, str, Better]] = {
    "auc": ("AUC", "AUC", "higher"),
    "accuracy": ("accuracy", "share", "higher"),
    "rarest_recall": ("recall of the rarest class", "share", "higher"),
    "r2": ("R2", "score", "higher"),
    "mae": ("mean absolute error", "target's unit", "lower"),
}
_UTILITY = {
    "loss": Meaning(
        "Utility lost",
        "score",
        "AUC (or R2) of trees trained on real rows, less that of trees trained on synthetic rows; both tested on real "
        "rows that neither saw.",
        perfect=0.0,
    )
} | {
    f"{model}_{score}": Meaning(
        f"{title}, {name}",
        unit,
        f"{name} on real rows after training on synthetic ones; 'perfect' is the same after training on real ones.",
        better=better,
    )
    for model, title in (("trees", "Gradient boosting"), ("linear", "Linear model"))
    for score, (name, unit, better) in _SCORES.items()
}

_ATTACKS = {
    "membership": (
        "Membership inference",
        "An attacker who holds a person's row and the synthetic table guesses whether the person was in the training rows.",
    ),
    "file": (
        "Membership inference by the generator file",
        "An attacker who holds a person's row and the generator file asks it how likely the row is.",
    ),
    "shadow": (
        "Membership inference by shadow models",
        "An attacker who can also train the generator guesses whether a person was in the training rows.",
    ),
}
_ROC = {
    "auc": ("AUC", "AUC", 0.5, "0.5 is a coin, 1 is always right."),
    "tpr1": ("found at 1% false alarms", "share", 0.01, "Share of members found while 1% of others are accused."),
    "tpr10": ("found at 10% false alarms", "share", 0.1, "Share of members found, 10% of others accused."),
}
_PRIVACY = {
    "dcr_share": Meaning(
        "Nearer to training than to holdout (DCR share)",
        "share",
        "Share of synthetic rows nearer to the training rows than to as many held-out rows. Above 0.5 rows lean on the "
        f"people in training. It sees copying on average and misses single people (arXiv 2505.01524). {_NOT_PROOF}",
        better="target",
        perfect=0.5,
    ),
    "dcr_quantile": Meaning(
        "Very near to training (DCR 2%)",
        "%",
        "Share of synthetic rows nearer to a training row than the nearest 2% of held-out rows are. Above 2%: near "
        f"copies. {_NOT_PROOF}",
        better="target",
        perfect=2.0,
    ),
    "copies": Meaning(
        "Exact copies of training rows",
        "%",
        "Rows that equal a training row in every column compared. People who are alike give copies by chance, of held-out "
        f"people as of learnt ones: an exact test compares the two. {_NOT_PROOF}",
        better="target",
    ),
    "copied_rare": Meaning(
        "Copies of rare training rows",
        "count",
        "Rows that equal a training row which few people share: each is a leak, unless real rows come so near to each other "
        f"that chance explains it. {_NOT_PROOF}",
        perfect=0.0,
    ),
    "identifiers": Meaning(
        "People whose identifiers stand in the table",
        "count",
        "People who were learnt of whom a cell of a column that is not compared, as it is declared id or ignore, stands in the "
        "table, in columns where chance would not find as many. Cells that several people share, and new numbers in order, name "
        f"nobody. {_NOT_PROOF}",
        perfect=0.0,
    ),
    "attribute_gain": Meaning(
        "Attribute disclosure, members over others",
        "share",
        "An attacker who holds all but one cell of a person's row takes that cell from the nearest synthetic row. How much "
        "more often is the guess right for members than for people who were not learnt? What it is right for both alike, "
        f"the rows tell of everybody, as any statistic does. {_NOT_PROOF}",
        perfect=0.0,
    ),
} | {
    f"{attack}_{measure}{suffix}": Meaning(
        f"{title}, {name}{of}",
        unit,
        f"{sentence} {meaning} A weak attack proves nothing: a stronger one may come. Intervals: 95%, over the "
        "people attacked.",
        perfect=perfect,
    )
    for attack, (title, sentence) in _ATTACKS.items()
    for suffix, of in (("", ""), ("_outliers", ", outliers"))
    for measure, (name, unit, perfect, meaning) in _ROC.items()
}

#: All figures, in the order that a page shows them.
CATALOGUE: Mapping[str, Meaning] = {
    f"{section}.{name}": meaning
    for section, meanings in (("fidelity", _FIDELITY), ("utility", _UTILITY), ("privacy", _PRIVACY))
    for name, meaning in meanings.items()
}

#: What the figures begin with that judge a generator or its training, not a table of rows.
OF_GENERATOR = ("privacy.file_", "privacy.shadow_")

#: Figures of version 0.1.0 that are measured no more, and those that say it instead.
REMOVED: Mapping[str, str] = {
    "fidelity.c2st_score": "fidelity.c2st_heldout",
    "fidelity.trend_own": "fidelity.trend_heldout",
    "fidelity.trend_strong": "fidelity.trend_heldout",
    "privacy.distance_ratio": "privacy.dcr_quantile",
    "fidelity.alpha_precision": "fidelity.c2st",
    "fidelity.beta_recall": "fidelity.c2st and privacy.dcr_share",
    "privacy.singling_out_univariate": "privacy.copies and privacy.dcr_quantile",
    "privacy.singling_out_multivariate": "privacy.copies and privacy.membership_tpr10_outliers",
    "privacy.linkability": "privacy.membership_auc and privacy.membership_tpr1",
    "privacy.inference": "privacy.dcr_share",
}
