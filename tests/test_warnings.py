"""A warning names the line of the user that called, not one of ours."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest
from conftest import needs_sdv

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.errors import CloverWarning, NotFittedError


def test_a_warning_names_the_users_line() -> None:
    df = pd.DataFrame({"city": ["a"] * 30 + ["b"] * 30 + ["rare"], "age": range(61)})
    metadata = {"categorical": ["city"], "continuous": ["age"]}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        TVAESynthesizer(df, metadata, epochs=1, random_state=1, verbose=False, privacy="none").fit()
        Metadata.infer(pd.DataFrame({"number": range(100_000, 100_400)}))
    ours = [one for one in told if issubclass(one.category, CloverWarning)]
    assert len(ours) >= 2
    assert {one.filename for one in ours} == {__file__}


@needs_sdv
def test_constraints_before_a_table_say_where_they_go() -> None:
    from sdv.metadata import Metadata as SdvMetadata

    sdv = SdvMetadata.detect_from_dataframes({"t": pd.DataFrame({"low": [1.5], "high": [2.5]})})
    with pytest.raises(NotFittedError, match=r"TVAESynthesizer\(df, metadata\)\.add_constraints"):
        TVAESynthesizer(sdv).add_constraints([])
