"""Fidelity of each subgroup: the rows of one class, synthetic against held-out ones, beside the learnt ones."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pandas as pd

from clover_tvae.errors import ConfigError, did_you_mean
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.shape_and_trend import shape_errors
from clover_tvae.evaluation.two_sample import two_sample_auc


def subgroup_fidelity(tables: CodedTables, column: Hashable, disclosure: Disclosure, *, seed: int) -> pd.DataFrame:
    """Return a row a class: its share of the learnt and of the synthetic rows, Shape error and C2ST against held-out rows.

    Classes of too few people to be named, in either real table, are left out.

    Args:
        tables: In the roles ``real``, ``synthetic`` and ``holdout``.
        disclosure: Fewest people that a class may rest on.

    Raises:
        ConfigError: There is no such column of categories.
    """
    if column not in tables.category_names:
        hint = did_you_mean(column, tables.category_names)
        raise ConfigError(f"must be a column of categories, found {column!r}{hint}", "subgroups")
    place = tables.category_names.index(column)
    rows = []
    for code, name in enumerate(tables.categories[place]):
        of_class = {role: tables[role].take(tables[role].codes[:, place] == code) for role in tables.tables}
        learnt, drawn, held = (of_class[role] for role in ("real", "synthetic", "holdout"))
        if not drawn.n_rows or not all(disclosure.may_name(table.n_rows) for table in (learnt, held)):
            continue
        turned = replace(tables, tables={"real": held, "synthetic": drawn, "holdout": learnt})
        shapes = [
            float(np.nanmean(disclosure.errors(shape_errors(turned, role), turned, "holdout")))
            for role in ("synthetic", "holdout")
        ]
        trees = [two_sample_auc(held, table, seed=seed)[0] for table in (drawn, learnt)]
        shares = (disclosure.share(learnt.n_rows, tables["real"].n_rows), drawn.n_rows / tables["synthetic"].n_rows)
        rows.append((name, *shares, *shapes, *trees))
    columns = ["group", "learnt", "synthetic", "shape", "shape_learnt", "c2st", "c2st_learnt"]
    return pd.DataFrame(rows, columns=columns, dtype=object).astype(dict.fromkeys(columns[1:], float))
