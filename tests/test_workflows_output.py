"""Where rows are written: folders and files in the way are refused in our words."""

from __future__ import annotations

from functools import partial

import pytest

from clover_tvae.cli.files import check_rows_target
from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.workflows.output import draw_to


def test_a_folder_in_the_place_of_a_part_is_refused_before_rows_are_quick(tmp_path):
    (tmp_path / "rows" / "part-00003.csv").mkdir(parents=True)
    with pytest.raises(ConfigError, match="part-00003"):
        check_rows_target(tmp_path / "rows", suffix=".csv", force=True)


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path, quick):
    (tmp_path / "rows").symlink_to(tmp_path / "gone")
    with pytest.raises(TableFileError, match="cannot be written"):
        draw_to(partial(quick.sample_frames, 3), tmp_path / "rows")
    (tmp_path / "file").write_text("")
    with pytest.raises(TableFileError, match="cannot be written"):
        draw_to(partial(quick.sample_frames, 3), tmp_path / "file" / "rows")
