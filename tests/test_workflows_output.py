"""Where rows are written: folders and files in the way are refused in our words."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from clover_tvae.cli.files import check_rows_target
from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.workflows.engines import Local
from clover_tvae.workflows.output import draw_to
from clover_tvae.workflows.shards import Parts, Wanted


def test_a_folder_in_the_place_of_a_part_is_refused_before_rows_are_quick(tmp_path):
    (tmp_path / "rows" / "part-00003.csv").mkdir(parents=True)
    with pytest.raises(ConfigError, match="part-00003"):
        check_rows_target(tmp_path / "rows", suffix=".csv", force=True)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".pq", ".feather"])
def test_a_damaged_part_of_a_run_that_was_cut_off_is_drawn_again(tmp_path, quick, suffix):
    def broken_off(skip=0):
        yield from itertools.islice(quick.sample_frames(60, random_state=1), 1)
        raise KeyboardInterrupt

    rows, whole = tmp_path / "rows", tmp_path / "whole"
    how = {"suffix": suffix, "rows_per_part": 20}
    parts = draw_to(partial(quick.sample_frames, 60, random_state=1), whole, **how)
    with pytest.raises(KeyboardInterrupt):
        draw_to(broken_off, rows, resume_as="a", **how)
    waiting = next(rows.glob(".clover-tvae-parts-*"))
    assert [path.name for path in sorted(waiting.iterdir())] == [path.name for path in parts]
    (waiting / parts[1].name).write_bytes(parts[1].read_bytes()[:-3])
    written = draw_to(partial(quick.sample_frames, 60, random_state=1), rows, resume_as="a", **how)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in parts]


def test_a_damaged_part_of_another_worker_is_drawn_again(tmp_path, quick):
    sha256, waiting = quick.save(tmp_path / "g.pkl"), tmp_path / "waiting"
    waiting.mkdir()
    parts = Parts(Wanted(str(tmp_path / "g.pkl"), sha256, 60, 1), ".parquet", 20)
    digests = [*parts.groups(waiting, Local(1))]
    damaged = waiting / parts.names[1]
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert [*parts.groups(waiting, Local(1))] == digests


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path, quick):
    (tmp_path / "rows").symlink_to(tmp_path / "gone")
    with pytest.raises(TableFileError, match="cannot be written"):
        draw_to(partial(quick.sample_frames, 3), tmp_path / "rows")
    (tmp_path / "file").write_text("")
    with pytest.raises(TableFileError, match="cannot be written"):
        draw_to(partial(quick.sample_frames, 3), tmp_path / "file" / "rows")
