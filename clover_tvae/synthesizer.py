"""The synthesizer: learns, draws, reads and keeps.

It is over 450 lines because every public method stands here with its arguments, errors and source; the work is done below.
It imports no scikit-learn, which takes a second of each command: what users import is ``clover_tvae.estimators``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import Self

from clover_tvae.artifact import read_artifact
from clover_tvae.backends import (
    Backend,
    Generator,
    ReadsRows,
    keep_relations,
    learnt_apart,
    made_from,
    make_backend,
    of_a_teacher,
    reader,
)
from clover_tvae.balancing import balanced
from clover_tvae.columns.frames import FrameKind, require_pandas, same_kind, same_library, takes_frames
from clover_tvae.columns.people import count_people, people_of
from clover_tvae.conditions import as_read
from clover_tvae.errors import (
    CloverWarning,
    ConditionError,
    ConfigError,
    DataError,
    NotFittedError,
    PrivacyWarning,
    memory_told,
    warn,
)
from clover_tvae.files import check_path
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import MIN_COUNT, MOST_ROWS, Parameters, cut_short, unguarded, whole_number
from clover_tvae.seeds import Call, Calls, Read, child, root
from clover_tvae.tables import TableToLearn

if TYPE_CHECKING:
    from clover_tvae.training import Checkpoint

__all__ = ["Synthesizer"]

logger = logging.getLogger(__name__)

#: Partial rows that are completed together, under a seed of their own.
_PARTIAL_ROWS = 16_384
#: Parameters that belong to the synthesizer, not to what learns.
_NOT_OF_A_BACKEND = ("privacy", "random_state", "decode", "trust_pickle")


class Synthesizer:
    """Learns a table and draws synthetic rows from it: what the commands use, and :class:`~clover_tvae.TVAESynthesizer` builds on.

    The parameters are those that :class:`~clover_tvae.TVAESynthesizer` tells, in the same order.

    Raises:
        ConfigError: Parameters out of range: all of them are named.
        MetadataError: The metadata is wrong.
        ArtifactError: ``generator_filepath`` exists but is refused.
    """

    def __init__(
        self,
        df: pd.DataFrame | str | Path | None = None,
        metadata: Metadata | Mapping[str, Any] | str | Path | None = None,
        random_state: int | None = None,
        generator_filepath: str | Path | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        compress_dims: Sequence[int] | None = None,
        decompress_dims: Sequence[int] | None = None,
        *,
        privacy: str | None = None,
        backend: str | None = None,
        decoder: str | None = None,
        embedding_dim: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        loss_factor: float | None = None,
        gradient_clip: float | None = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        max_minutes: float | None = None,
        device: str = "cpu",
        precision: str | None = None,
        decode: str | None = None,
        min_count: int | None = None,
        exact_values: bool | None = None,
        verbose: bool = True,
        trust_pickle: bool = False,
        discriminator_steps: int | None = None,
        enforce_min_max_values: bool | None = None,
        enforce_rounding: bool | None = None,
        expected_sha256: str | None = None,
    ) -> None:
        self._given = {name: value for name, value in locals().items() if name not in ("self", "df")}
        of_parameters = {name: self._given[name] for name in Parameters.model_fields}
        parameters = Parameters.of(**of_parameters | {"device": str(device)})
        path = None if generator_filepath is None else check_path(generator_filepath, "generator_filepath")
        self.generator_filepath, self.random_state, self.verbose = path, parameters.random_state, verbose
        self.decode: str = parameters.decode or "sample"
        self._held = TableToLearn.of(df, self.random_state)
        self._kind = self._held.kind
        table, self._calls, self._prepared, self._has_learnt = self._held.df, Calls(), False, False
        self._generator: Generator | None = None
        self._parameters = {k: v for k, v in parameters.given().items() if k not in _NOT_OF_A_BACKEND}
        self._privacy = parameters.privacy
        if path is not None and path.exists():
            self._generator = loaded = Generator.load(
                path, expected_sha256=expected_sha256, device=str(device), trust_pickle=trust_pickle
            )
            self._backend, self._metadata = loaded.backend, loaded.metadata
            engine = {"backend": self._backend.name, "decoder": self._backend.parameters.get("decoder")}
            self._parameters = {k: v for k, v in engine.items() if v is not None} | self._parameters
            self.decode = parameters.decode or loaded.decode
            if self.random_state is None:
                self.random_state = loaded.random_state
            loaded.check_agrees(table, metadata, self._parameters, self._held.n_rows if self._held.beyond else None)
        else:
            if table is not None:
                require_pandas(table, "df")
            self._backend = self._fresh_backend(0 if table is None else len(table))
            if metadata is not None:
                self._metadata = Metadata.of(metadata)
            else:  # without a table, that of each fit
                self._metadata = Metadata(()) if table is None else Metadata.infer(table)
        self._described = self._metadata
        self._is_inferred = not self.fitted and metadata is None and table is None
        self._seed = root(self.random_state)

    def _fresh_backend(self, n_rows: int, n_people: int | None = None) -> Backend:
        given = dict(of_a_teacher(self._parameters, self._privacy, n_rows, n_people))
        return make_backend(given.pop("backend", None), **given)

    @memory_told()
    def prepare(self, df: pd.DataFrame | str | Path | None = None) -> Self:
        """Check the table and fit its transforms, the first step of :meth:`fit`: conditions can be checked after it.

        Args:
            df: The table; ``None`` takes the one that the synthesizer was made with, before the first fit.

        Returns:
            The synthesizer itself.

        Raises:
            DataError: The table does not fit its metadata; every problem is named.
            NotFittedError: There is no table to learn.
        """
        before, self._prepared = (self._held, self._kind, self._described, self._metadata), False
        try:
            self._prepare(self._table(df))
        except BaseException:  # of a table that is refused nothing is held
            self._held, self._kind, self._described, self._metadata = before
            raise
        return self

    def _prepare(self, df: pd.DataFrame) -> None:
        if self._is_inferred:
            self._described = Metadata.infer(df)
        self._metadata = self._described
        self._metadata.validate(df)
        self._held = self._held.read_by(self._metadata)
        df = self._table(None)
        self._metadata = self._related(df)
        logger.info(self._metadata.relations_told)
        n_people = count_people(people_of(df, self._metadata.unit), self._held.n_rows)
        self._backend = keep_relations(self._fresh_backend(self._held.n_rows, n_people), self._metadata)
        if isinstance(self._backend, ReadsRows):
            seed, is_sample = child(self._seed, Call.FIT), self._held.beyond is not None
            self._backend.prepare(self._declared(df), self._metadata, seed=seed, is_sample=is_sample)
        self._prepared = True

    def add_constraints(self, constraints: Iterable[Any]) -> Self:
        """Add what must hold in every synthetic row, beside what the metadata declares or, if it does not, what is found.

        Args:
            constraints: As :meth:`Metadata.add_constraints` takes them: dicts and objects of SDV's constraints, relations.

        Returns:
            The synthesizer itself; call it before :meth:`fit`.

        Raises:
            MetadataError: There is no such constraint, or it names a column that is not there.
            NotFittedError: The generator was loaded without a table: there is nothing to learn.
        """
        if not self.fitted and not self._has_learnt and self._held.df is None:
            cure = "give the table first, TVAESynthesizer(df, metadata).add_constraints([...]), or the metadata: metadata.add_constraints([...])"
            raise NotFittedError(f"a synthesizer without a table takes no constraints; {cure}", "add_constraints")
        df = self._table(None)
        if self._described.relations is None:
            self._described.validate(df)
            self._metadata = self._described
            self._described = self._related(df)
        self._metadata = self._described = self._described.add_constraints(constraints)
        self._prepared = False
        return self

    def check_conditions(self, conditions: Mapping[Hashable, Any]) -> None:
        """Refuse conditions that no row could meet, as far as :meth:`prepare` or :meth:`fit` tells.

        Raises:
            ConditionError: A column or a value was never seen, or a range holds no value.
        """
        if isinstance(self._backend, ReadsRows):
            self._backend.check_conditions(as_read(self._metadata, conditions))

    def _table(self, df: pd.DataFrame | str | Path | None) -> pd.DataFrame:
        """Return the table to learn: ``df``, which is held from now on, or the one that is held."""
        if df is not None:
            self._held = TableToLearn.of(df, self.random_state, self._kind)
            self._kind = self._held.kind
        if self._held.df is None:
            what = "was loaded without a table" if self.fitted else "has no table (a pickle or a copy holds none)"
            what = "keeps no table once it has learnt one" if self._has_learnt else what
            raise NotFittedError(f"this synthesizer {what}; give the table to learn: fit(df)", "df")
        return self._held.df

    @property
    def frame_kind(self) -> FrameKind:
        """The library whose tables are given out: that of the table that was learnt; of a loaded generator pandas."""
        return self._kind

    @property
    def table(self) -> pd.DataFrame | None:
        """The table that is to be learnt, of one that is larger than memory the sample; ``None`` once it is learnt."""
        return self._held.df

    @property
    def n_rows(self) -> int:
        """Rows that are to be learnt, or were."""
        return int(self._backend.facts["rows"]) if self._held.df is None else self._held.n_rows

    def _declared(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that the metadata declares."""
        names, df = {column.name for column in self._metadata.columns}, self._metadata.read(df)
        # Choosing columns copies them.
        return df if names.issuperset(df.columns) else df[[name for name in df.columns if name in names]]

    def _related(self, df: pd.DataFrame) -> Metadata:
        """Return the metadata with the relations that enough people share."""
        return self._metadata.with_relations(self._declared(df), min_count=self.min_count)

    @memory_told()
    def fit(
        self, df: pd.DataFrame | str | Path | None = None, *, checkpoint: str | Path | None = None, resume: bool = False
    ) -> Self:
        """Learn the table, and write the generator where ``generator_filepath`` says.

        Where a process group of ``torch.distributed`` is initialised, its workers learn one table together: all must call this,
        with the same table and seed; the first shows progress and writes the files.

        The table is let go afterwards, and one that is refused: a synthesizer that is pickled or copied holds no table, fitted or not, and
        nothing that its file does not.

        Args:
            df: The table; ``None`` takes the one that the synthesizer was made with, before the first fit.
            checkpoint: A file, mode 0600 and as sensitive as the table, that says every 20 seconds where the training stands;
                it is removed at the end. Native backend only.
            resume: Go on from ``checkpoint``, if it is there, to the same result as if nothing had happened; needs one.

        Returns:
            The synthesizer itself.

        Warns:
            PrivacyWarning: The file may hold values of single people, or tells who was learnt: see docs/privacy.md.

        Raises:
            DataError: The table does not fit its metadata; every problem is named.
            TrainingError: Training failed.
            NotFittedError: There is no table to learn.
            ConfigError: Nothing can be written at ``generator_filepath`` or ``checkpoint``; or what is there was made from
                another table, metadata, parameters or versions. Told before training.
        """
        if self.generator_filepath is not None:
            check_path(self.generator_filepath, "generator_filepath", to_write=True)
        if resume and checkpoint is None:
            raise ConfigError("needs a checkpoint, the file to go on from", "resume")
        from clover_tvae.training import Workers  # it brings torch

        workers = Workers()
        saved = None if checkpoint is None else self._opened(checkpoint, resume=resume)
        before = self._held
        try:
            if not self._prepared or df is not None:
                self.prepare(df)
            self._prepared = False
            table = self._declared(self._table(None))
            if saved is not None or workers.size > 1:
                given = {**self._parameters, "privacy": self._privacy, "decode": self.decode}
                made = made_from(table, self._metadata, given, self._seed, self._held.beyond)
                workers.check_same(made | {"checkpoint": "none" if saved is None else saved.digest})
                if saved is not None:
                    saved.begin(self._seed.entropy, made)
            self._backend, self._metadata, learnt_from = learnt_apart(
                self._backend, table, self._metadata, self._parameters,
                privacy=self._privacy, seed=self._seed, verbose=self.verbose and workers.is_first, checkpoint=saved, beyond=self._held.beyond,
            )  # fmt: skip
            self._metadata = replace(self._metadata, reasons={}, review=())
            self._generator = Generator(
                self._backend, self._metadata, len(table.columns), self.random_state, self.decode, learnt_from
            )
            held = self._metadata.relations or ()  # others keep their rule, not what they learnt of the table
            self._described = _said(self._described, held)
            # Who had the seed and all cells but one could try which value gives the same file.
            if self.random_state is None:
                self._seed = root(None)
            self._calls, self._has_learnt = Calls(), True
        except DataError:
            # One that the constructor was given stays, where another is refused.
            if df is None or self._held is not before:
                self._held = TableToLearn()
            raise
        finally:
            if self._has_learnt:  # a fit that fails keeps no table either
                self._held = TableToLearn()
        if cut := cut_short(self.card()):
            warn(cut, CloverWarning)
        if asked := unguarded(self._backend.parameters):
            warn(f"{asked}: treat it as personal data, or leave that parameter out", PrivacyWarning)
        if self.generator_filepath is not None and workers.is_first:
            self.save(self.generator_filepath)
        if saved is not None:
            saved.remove()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: what was learnt, and never a table, nor what :meth:`prepare` found in one."""
        state, made = dict(self.__dict__), self._generator
        if made is not None and self._held.df is None and self._backend is made.backend:
            return state
        state |= {"_held": TableToLearn(), "_prepared": False, "_described": (described := _said(self._described))}
        if made is None:
            return state | {"_kind": FrameKind(), "_backend": self._fresh_backend(0), "_metadata": described}
        return state | {"_backend": made.backend, "_metadata": made.metadata}

    def _opened(self, checkpoint: str | Path, *, resume: bool) -> Checkpoint:
        """Return a checkpoint; where the user gave no seed, the fit goes on with that of the file."""
        from clover_tvae.training import Checkpoint, Workers

        path, writes = check_path(checkpoint, "checkpoint", to_write=True), Workers().is_first
        saved = Checkpoint(path, resume=resume, writes=writes)
        if self.generator_filepath is not None and saved.path == Path(os.path.realpath(self.generator_filepath)):
            raise ConfigError("must be another file than generator_filepath: it is removed at the end", "checkpoint")
        if saved.seed is not None:
            logger.info("going on from %s", saved.path.name)
        if self.random_state is None and saved.seed not in (None, self._seed.entropy):
            self._seed, self._prepared = np.random.SeedSequence(saved.seed), False
        return saved

    @property
    def fitted(self) -> bool:
        """Whether there is a table learnt, or loaded."""
        return self._generator is not None

    @property
    def reads_rows(self) -> bool:
        """Whether rows can be read: completed, imputed, encoded, reconstructed and scored."""
        return isinstance(self._backend, ReadsRows)

    @property
    def given(self) -> dict[str, Any]:
        """The parameters of the engine that the user gave; of a generator that was loaded, its backend and decoder."""
        return dict(self._parameters)

    @property
    def min_count(self) -> int:
        """Fewest people that what is learnt and shown rests on."""
        return int(self._backend.parameters.get("min_count", MIN_COUNT))

    @property
    def metadata(self) -> Metadata:
        """What each column is."""
        return self._metadata

    @property
    def history(self) -> pd.DataFrame:
        """Learning curves: one row an epoch; loss, reconstruction and KL in nats a row, training and validation.

        ``seconds`` is missing after loading: a file holds no wall-clock time, so that one seed gives the same bytes.
        """
        return pd.DataFrame(self._learnt().backend.history).astype({"epoch": "int64"})

    def _learnt(self) -> Generator:
        if self._generator is None:
            raise NotFittedError
        return replace(self._generator, decode=self.decode)  # the seed stays that of the training

    @memory_told()
    @same_kind
    def sample(
        self,
        n_rows: int | None = None,
        conditions: Mapping[Hashable, Any] | pd.DataFrame | None = None,
        *,
        random_state: int | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int | None = None,
        steps: int | None = None,
    ) -> pd.DataFrame:
        """Draw synthetic rows.

        Args:
            n_rows: How many, at least 0; may be left out where ``conditions`` is a DataFrame.
            conditions: What every row must meet, exactly and without rejection: ``{"sex": "F"}``, a list of categories,
                ``{"age": (">=", 65)}``, ``{"age": ("between", 18, 30)}``, ``{"bmi": None}`` (missing),
                ``{"bmi": ("not missing",)}``; or a DataFrame of ``n_rows`` partial rows, whose empty cells are drawn.
            random_state: Fixes these rows; ``None`` takes the next rows of the synthesizer's own seed.
            decode: Overrules the constructor's ``decode``.
            missing: ``False`` draws no missing cells.
            first_id: The number of the first identifier that is made anew as a sequence or a pattern. ``None`` goes on from
                the last call; with ``random_state``, which fixes the rows whole, it is 1: give the second table's first.
            steps: Passes of the network a row, at most, for rows drawn anew: columns of one step do not see each other, so fewer
                steps are faster and lose what columns tell of each other. ``None``: as few as
                the model says cost next to nothing; as many as there are columns: each column for itself.

        Returns:
            A DataFrame with the columns, order, dtypes, decimals and ranges of the table that was learnt.

        Raises:
            ConditionError: A category or column was never seen, or no row can meet the conditions.
            NotFittedError: ``fit`` was not called.
        """
        how: dict[str, Any] = {"decode": decode, "missing": missing, "first_id": first_id, "steps": steps}
        frames = list(self.sample_frames(n_rows, conditions, random_state=random_state, **how))
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    @same_kind
    def sample_frames(
        self,
        n_rows: int | None = None,
        conditions: Mapping[Hashable, Any] | pd.DataFrame | None = None,
        *,
        random_state: int | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int | None = None,
        steps: int | None = None,
        skip: int = 0,
    ) -> Iterator[pd.DataFrame]:
        """Draw the rows of :meth:`sample` in frames of flat size, for tables larger than memory; where no row is left, one empty frame.

        Args:
            n_rows: As for :meth:`sample`, as are the others.
            conditions: What every row must meet; a DataFrame of partial rows is completed in frames, too.
            first_id: The number of the first identifier, of the rows that are left out, too.
            skip: Rows at the beginning that are left out, because they were drawn before with the same ``random_state``:
                the others are those of the whole, and few of those before them are drawn (SDV's backend draws all).
        """
        backend = self._learnt().backend
        frame = conditions if isinstance(conditions, pd.DataFrame) else None
        skip = whole_number(skip, "skip")
        n_rows = len(frame) if n_rows is None and frame is not None else whole_number(n_rows, "n_rows", most=MOST_ROWS)
        decode = self.decode if decode is None else Parameters.of(decode=decode).decode
        if frame is not None:
            if len(frame) != n_rows:
                raise ConditionError(f"must have one row a synthetic row, {n_rows}, found {len(frame)}", "conditions")
            able, seed = reader(backend, frame, "conditions"), self._calls.seed(self._seed, Call.COMPLETE, random_state)
            before = self._calls.first_id(n_rows, first_id, random_state)
            draw = partial(able.complete, missing=missing, decode=decode)
            frame, skip = (frame, skip) if skip < n_rows else (frame.iloc[:0], 0)
            return self._completed(draw, self.metadata.read(frame), skip, seed, before)
        if conditions is not None and not isinstance(conditions, Mapping):
            rule = "must be a dict of columns, such as {'sex': 'F'}, or a DataFrame of partial rows"
            raise ConditionError(f"{rule}, found {type(conditions).__name__}", "conditions")
        seed = self._calls.seed(self._seed, Call.SAMPLE, random_state)
        conditions = conditions and as_read(self.metadata, conditions)
        steps = None if steps is None else whole_number(steps, "steps", least=1)
        how: dict[str, Any] = {"conditions": conditions, "decode": decode, "missing": missing, "steps": steps}
        before = self._calls.first_id(n_rows, first_id, random_state)
        how |= {"seed": seed, "first_id": before}
        left = max(0, n_rows - skip)  # of no row, a frame has the columns
        frames = backend.sample_rest(skip, n_rows, **how) if skip and left else backend.sample_frames(left, **how)
        return _counted(map(self.metadata.written, frames), skip)

    def _completed(
        self,
        draw: Callable[..., pd.DataFrame],
        frame: pd.DataFrame,
        skip: int,
        seed: np.random.SeedSequence,
        n_ids: int,
    ) -> Iterator[pd.DataFrame]:
        """Yield partial rows completed, so many together and always the same, each time with a seed of their own."""
        for start in range(skip - skip % _PARTIAL_ROWS, max(1, len(frame)), _PARTIAL_ROWS):
            part = frame.iloc[start : start + _PARTIAL_ROWS]
            own = child(seed, Read.STRETCH, start // _PARTIAL_ROWS) if start else seed
            try:
                with memory_told():
                    drawn = draw(part, seed=own, first_id=n_ids + start)
            except ConditionError as error:
                told = f"in the rows after the first {start:,}, which count from 1 here: " if start else ""
                raise ConditionError([replace(one, message=told + one.message) for one in error.problems]) from None
            yield self.metadata.written(drawn.set_axis(part.index, axis=0).iloc[max(0, skip - start) :])

    @memory_told()
    @same_kind
    def impute(
        self, df: pd.DataFrame, n: int = 1, *, random_state: int | None = None
    ) -> pd.DataFrame | list[pd.DataFrame]:
        """Fill missing cells with draws from the model, given the rest of the row; everything else is untouched.

        The draws of a row differ with the rows that stand beside it: a part of a table is filled with others than the whole.

        Args:
            df: A table with all columns of training.
            n: Completed tables to draw: more than 1 is multiple imputation (Rubin 1987). Between the k-th lowest and the
                k-th highest draw lies the truth in (n + 1 - 2k) of n + 1 cells: for 90%, draw 99 and take the 5th of each
                side. The quantiles 5% and 95% of few draws lie too close together: of 10 they cover 74%, of 20 81%.

        Returns:
            ``df`` filled, same index, columns and dtypes; a list of ``n`` of them where ``n > 1``.
        """
        backend, n = reader(self._learnt().backend, df, "impute"), whole_number(n, "n", least=1)
        seed = self._calls.seed(self._seed, Call.IMPUTE, random_state)
        read = self.metadata.read(df)
        filled = (backend.impute(read, seed=child(seed, i)) for i in range(n))
        tables = [table if read is df else self.metadata.filled(df, table) for table in filled]
        return tables[0] if n == 1 else tables

    @same_kind
    def balance(
        self,
        column: Hashable,
        strategy: str | Mapping[Any, float] = "equal",
        *,
        df: pd.DataFrame | None = None,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Return the real rows and as many synthetic ones as balance ``column``, flagged in ``is_synthetic``.

        Args:
            column: A column of categories; where the metadata names one for the ``rest``, rare ones count to it.
            strategy: ``"equal"`` brings every category up to the most frequent; a dict gives the share of each category.
                Those left out share what is left to 1, in the proportions they have; where nothing is left, they are not
                added to, and the shares are those among the named. A dict of whole numbers says how many rows each is to
                have in all. No real row is ever dropped.
            df: The real rows, which a fitted synthesizer does not keep.
            random_state: Fixes the synthetic rows.

        Raises:
            ConditionError: The column is no column of categories, or a category was never seen.
            ConfigError: Shares that cannot be met, or only with more than a thousand times the real rows.
        """
        real = self._real(df, "df")
        draw = partial(self._learnt().backend.sample_frames, decode=self.decode)
        seed = self._calls.seed(self._seed, Call.BALANCE, random_state)
        least = self._backend.parameters.get("min_count", 1)
        if isinstance(strategy, Mapping):  # the words of the table, as they are learnt
            words = {word: as_read(self.metadata, {column: word})[column] for word in strategy}
            strategy = {next(iter(getattr(read, "values", ())), word): strategy[word] for word, read in words.items()}
        real = self.metadata.read(real)
        return self.metadata.written(balanced(real, self.metadata, column, strategy, draw, seed, least))

    @same_library
    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the latent mean of every row: columns ``z0, z1, ...`` on ``df``'s index."""
        return reader(self._learnt().backend, df, "encode").encode(self.metadata.read(df))

    @same_kind
    def reconstruct(self, df: pd.DataFrame, *, random_state: int | None = 0) -> pd.DataFrame:
        """Encode every row and decode its latent mean: what the latent space keeps of it."""
        able = reader(self._learnt().backend, df, "reconstruct")
        return self.metadata.written(able.reconstruct(self.metadata.read(df), seed=root(random_state)))

    @same_library
    def anomaly_scores(self, df: pd.DataFrame, *, random_state: int = 0) -> pd.DataFrame:
        """Return how odd every row and every cell is.

        A score is a mean over a few draws, which differ with the rows that stand beside a row: of a part of a table, or with
        another seed, the scores of the same rows differ a little (on 300 employees by 0.5 nats, where rows differ by 3.6). To
        compare rows, score them in one call.

        Returns:
            A DataFrame on ``df``'s index: ``score`` first (nats, higher is odder), then one column a table column: minus
            the log-likelihood of the cell given the rest of its row. ``score`` is their sum, minus the
            pseudo-log-likelihood (Besag 1975). A value never seen in n training rows counts log(n + 1).
        """
        able = reader(self._learnt().backend, df, "anomaly_scores")
        return able.anomaly_scores(self.metadata.read(df), seed=root(random_state))

    def sigmas(self) -> dict[Hashable, list[float]]:
        """Learned standard deviations of each continuous column (independent decoder, and SDV's)."""
        return self._learnt().backend.sigmas()

    @takes_frames
    def told_apart(self, df: pd.DataFrame) -> list[str]:
        """Say how rows differ from the table that was learnt, as far as the generator tells; nothing where they do not."""
        return self._learnt().told_apart(self._real(df, "df"))

    @takes_frames
    def learnt_more(self, df: pd.DataFrame) -> str:
        """Say that clearly more rows were learnt than these, so that those held out may be among them; nothing where they were not."""
        return self._learnt().learnt_more(len(self._real(df, "df")))

    @property
    def mended_cells(self) -> dict[Hashable, int]:
        """Cells of each column that were mended, in the rows given out so far, to keep the relations of the metadata.

        Only with ``decoder="independent"`` and ``backend="sdv"``, which learn the table as it is.
        """
        return dict(self._learnt().backend.mended_cells)

    def set_device(self, device: str) -> Self:
        """Move the model to ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``."""
        self._backend.set_device(device)
        return self

    def _real(self, given: pd.DataFrame | None, name: str = "real") -> pd.DataFrame:
        self._learnt()
        if given is None:
            raise ConfigError("must be the real rows, found None: a fitted synthesizer keeps no table", name)
        require_pandas(given, name)
        return given

    def save(self, path: str | Path) -> str:
        """Write the generator file: plain data only, verified before it replaces an older one.

        A file without a student (``privacy="none"``, the paper's decoder, SDV) is as sensitive as the data.

        Returns:
            The file's SHA-256, to be given to ``load(expected_sha256=...)`` elsewhere.
        """
        self._generator = made = self._learnt().save(check_path(path, "path"))
        logger.info("generator written, sha256 %s; %s", made.sha256, made.meaning)
        if self.verbose:
            sys.stderr.write(f"saved: {made.meaning}\n")
        return str(made.sha256)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        expected_sha256: str | None = None,
        trust_pickle: bool = False,
        device: str = "cpu",
        verbose: bool = False,
    ) -> Self:
        """Open a generator file. Nothing in it is ever run, unless ``trust_pickle`` opens SDV's own pickle.

        Args:
            expected_sha256: The digest that :meth:`save` returned; any other file is refused.
            trust_pickle: Needed by files of the ``sdv`` backend alone.
            verbose: Of a later ``fit``.

        Raises:
            ArtifactError: The file is corrupt, unsafe, newer than this version, or of another program.
        """
        path = check_path(path, "path")
        if not path.exists():
            read_artifact(path)  # says why not
        given: dict[str, Any] = {"expected_sha256": expected_sha256, "trust_pickle": trust_pickle, "device": device}
        return cls(generator_filepath=path, verbose=verbose, **given)

    def card(self) -> dict[str, Any]:
        """Return what was learnt on what, as plain data: the model card."""
        return self._learnt().card()

    def __repr__(self) -> str:
        from clover_tvae.report.representation import as_text

        return as_text(self._backend, self.metadata, fitted=self.fitted, written=self._has_student)

    @property
    def _has_student(self) -> bool:
        made = self._generator
        return made is not None and made.privacy is not None and made.privacy.mode == "student"


def _said(described: Metadata, learnt: Sequence[Any] = ()) -> Metadata:
    """Return the metadata as it was said: without reasons, relations with what they learnt of a table only where they are ``learnt``."""
    relations = described.relations
    kept = relations and tuple(one if one in learnt else one.declared() for one in relations)
    return replace(described, reasons={}, review=(), relations=kept)


def _counted(frames: Iterator[pd.DataFrame], start: int) -> Iterator[pd.DataFrame]:
    """Give each frame the index that its rows have in the whole table."""
    with memory_told():
        for frame in frames:
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            yield frame
