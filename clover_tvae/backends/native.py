"""The native engine as a backend: transforms, autoencoder, trainer and sampler put together."""

from __future__ import annotations

import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm
from typing_extensions import Self

from clover_tvae.artifact import pack_tensors, unpack_tensors
from clover_tvae.backends.lesson import TARGET_COUNTS, Lesson, ToTeach, rows_to_judge
from clover_tvae.backends.native_parts import ModelPart, TrainingPart, packed
from clover_tvae.backends.protocol import Backend, ReadsRows, never_seen, reading, refuse_unknown, require_columns
from clover_tvae.backends.sizing import Plan, forecast, plan_training
from clover_tvae.columns.dtypes import with_cells
from clover_tvae.columns.people import count_people, people_of
from clover_tvae.encoded import EncodedTable
from clover_tvae.errors import CloverWarning, ConditionError, DivergedError, NotFittedError, Problem, warn
from clover_tvae.metadata import Metadata
from clover_tvae.model.autoregressive import AutoregressiveDecoder
from clover_tvae.model.build import NUMBERS, ModelConfig, build_vae, expected_arrays, to_arrays, vae_from_arrays
from clover_tvae.model.copula import copula_rows
from clover_tvae.model.decoder import Decoder
from clover_tvae.model.devices import one_thread, resolve_device, torch_generator
from clover_tvae.model.ordered import told_order
from clover_tvae.model.products import fastest_precision
from clover_tvae.model.rows import ConditionTensors, Rows
from clover_tvae.model.vae import TabularVAE, table_tensors
from clover_tvae.parameters import Parameters, listed
from clover_tvae.sampling import BLOCK_ROWS, Sampler
from clover_tvae.seeds import Draw, Fit, Read, child, generator
from clover_tvae.tables import Beyond
from clover_tvae.training import Checkpoint, Epoch, SpooledRows, Trainer
from clover_tvae.transforms import TableTransform

__all__ = ["NativeBackend"]

logger = logging.getLogger(__name__)

#: Encoded blocks that are put back into pandas together, while others are drawn: pandas is slow on many small frames.
_BLOCKS_A_FRAME = 16
assert BLOCK_ROWS * _BLOCKS_A_FRAME <= 2**20


@dataclass(frozen=True)
class _Learnt:
    """A table that was learnt: the transforms to choices and numbers, the network, and what they were planned from."""

    plan: Plan
    transform: TableTransform
    vae: TabularVAE
    history: list[Epoch]
    facts: dict[str, Any]
    guards: dict[str, Any]

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.vae, self.transform.translate)

    def read(self, df: pd.DataFrame, rng: np.random.Generator) -> EncodedTable:
        """Encode all modelled columns of ``df``; values that were never seen are unknown."""
        names = self.transform.names
        require_columns(df, names)
        return self.transform.encode(df[list(names)], rng, unseen="mask")


class NativeBackend(Backend, ReadsRows):
    """Our own engine, with either decoder.

    Args:
        lesson: What it is taught, where it learns rows that a teacher wrote.
        to_teach: What it will teach, if it may have a student: its time is told with the others.
        **given: Parameters of ``TVAESynthesizer``; ``None`` leaves one to the table's size.

    Raises:
        ConfigError: Parameters out of range; all of them are named.
    """

    name = "native"

    def __init__(self, *, lesson: Lesson | None = None, to_teach: ToTeach | None = None, **given: Any) -> None:
        self.given, self.lesson, self.to_teach = Parameters.of(**given), lesson, to_teach
        self._held_out = np.empty(0, dtype=np.int64)
        self.device = resolve_device(self.given.device or "cpu")
        #: Returns numbers of drawn rows that its own columns do not hold, by which they are judged, too; float32 ``(rows, numbers)``.
        self.beside: Callable[[pd.DataFrame], NDArray[np.float32]] | None = None
        self._known: _Learnt | None = None
        self._prepared: TableTransform | None = None

    # -- learning -----------------------------------------------------------------------------------------------------

    def prepare(
        self, df: pd.DataFrame, metadata: Metadata, *, seed: np.random.SeedSequence, is_sample: bool = False
    ) -> None:
        self._prepared = self._fitted(df, metadata, seed, is_sample)

    def _fitted(
        self, df: pd.DataFrame, metadata: Metadata, seed: np.random.SeedSequence, is_sample: bool
    ) -> TableTransform:
        decoder, rng = self.given.decoder or "autoregressive", generator(seed, Fit.TRANSFORMS)
        copies = decoder == "autoregressive"
        how: dict[str, Any] = {"copies": copies, "rng": rng, "is_sample": is_sample, **self.given.guards}
        return TableTransform.fit(df, metadata, numbers=NUMBERS[decoder], **how)

    def check_conditions(self, conditions: Mapping[Hashable, Any]) -> None:
        if self._prepared is not None or self._known is not None:
            (self._prepared or self.transform).allow(conditions)

    def fit(
        self,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        seed: np.random.SeedSequence,
        verbose: bool = False,
        checkpoint: Checkpoint | None = None,
        beyond: Beyond | None = None,
    ) -> Self:
        started = time.monotonic()
        transform = self._prepared or self._fitted(df, metadata, seed, is_sample=beyond is not None)
        self._prepared = None
        table, layout = transform.encode(df, generator(seed, Fit.ENCODE), "fold"), transform.layout
        n_rows = len(df) if beyond is None else beyond.n_rows
        people = people_of(df, metadata.unit)
        n_people = None if people is None else count_people(people, len(df))
        size = (n_rows, layout.n_columns)
        what: dict[str, Any] = {"n_choices": layout.n_choices, "lesson": self.lesson}
        plan = plan_training(self.given, *size, **what, n_people=n_people)
        if self.given.precision is None and plan.gains_from_bfloat16:
            plan = replace(plan, model=replace(plan.model, precision=fastest_precision(self.device)))
        told = "training" if self.lesson is None else "student"
        what |= {"to_teach": self.to_teach, "n_dealt": 0 if beyond is None else n_rows}
        length = forecast(plan, self.given, *size, **what)
        lines = [f"{told}: {n_rows:,} rows x {layout.n_columns} columns, {length}; {plan.describe()}"]
        if beyond is not None:
            lines.append(f"{told}: dealing {n_rows:,} rows into files, before the first step")
        for line in lines:
            logger.info(line)
            if verbose:
                tqdm.write(line, file=sys.stderr)
        weights = torch_generator(child(seed, Fit.WEIGHTS))
        stage = (lambda name: None) if checkpoint is None else checkpoint.stage
        shown: dict[str, Any] = {"device": self.device, "verbose": verbose}
        last = len(length.trainings) - 1
        trainer = Trainer(plan.training, told=told, stage=stage(told), later=partial(length.after, last), **shown)
        own = child(seed, Fit.TRAINING)
        self._held_out = held_out = trainer.held_out(len(table), own, people)
        # Where they stand, and no copy of them, which a large table has no room for.
        seen = np.setdiff1d(np.arange(len(table)), held_out)
        vae = build_vae(plan.model, layout, weights, table.choices[seen])
        if self.lesson is not None and self.lesson.target in transform.names:
            assert isinstance(vae.decoder, AutoregressiveDecoder)
            vae.decoder.emphasise(transform.names.index(self.lesson.target), TARGET_COUNTS)
        try:
            with told_order(vae.decoder, transform.ranks(table, seen), weights):
                if plan.start is not None:
                    smooth = copula_rows(table.take(seen), layout, plan.start_rows, generator(seed, Fit.SMOOTH))
                    starter = Trainer(
                        plan.start, told="start", stage=stage("start"), later=partial(length.after, 0), **shown
                    )
                    starter.fit(vae, table_tensors(smooth, layout), seed=child(seed, Fit.SMOOTH))
                training = trainer.fit(
                    vae,
                    table_tensors(table, layout),
                    seed=own,
                    held_out=held_out,
                    beyond=None if beyond is None else partial(_others, df, metadata, beyond, transform, seed),
                )
        except DivergedError as error:
            raise DivergedError(f"{error}{_not_finite(vae, table, transform)}") from None
        if training.stopped == "diverged":
            warn(
                f"training diverged in epoch {training.diverged_at}; the weights of epoch {training.best_epoch} are "
                f"kept{_not_finite(vae, table, transform)}",
                CloverWarning,
            )
        stopped = "minutes" if self.lesson is not None and self.lesson.is_cut_short else training.stopped
        with one_thread():
            prior = torch_generator(child(seed, Fit.PRIOR), self.device)
            vae.fit_prior(table_tensors(table, layout), prior, torch.from_numpy(seen))
            sampler = self._sampler(vae, transform)
            sampler.measure_steps(child(seed, Fit.SCHEDULE))
            n_drawn = rows_to_judge(len(table), layout.n_columns) if plan.model.judge_trees else 0
            if n_drawn and stopped != "minutes":
                spread = sampler.learn_to_judge(table, transform.ranks(table), n_drawn, child(seed, Fit.JUDGE))
                kept = f"that look learnt are kept oftener, as far as trees tell them apart (log-ratios spread by {spread:.2f})"
                taken = "are taken as they come: trees hardly tell them from learnt ones"
                logger.info("%s: drawn rows %s", told, kept if spread else taken)
        facts = {
            "rows": n_rows,
            "seconds": round(time.monotonic() - started, 3),
            "best_epoch": training.best_epoch,
            "stopped": stopped,
            "device": str(self.device),
        }
        self._known = _Learnt(plan, transform, vae.eval(), [*map(_rounded, training.history)], facts, self.given.guards)
        return self

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Any]:
        if self._known is None:
            return {"decoder": "autoregressive", **self.given.given(), **self.given.guards}
        return self._known.plan.parameters | self._known.guards | {"max_minutes": self.given.max_minutes}

    @property
    def history(self) -> list[dict[str, float]]:
        return [] if self._known is None else [epoch._asdict() for epoch in self._known.history]

    @property
    def facts(self) -> dict[str, Any]:
        return {} if self._known is None else dict(self._known.facts)

    @property
    def held_out(self) -> NDArray[np.int64]:
        return self._held_out

    @property
    def transform(self) -> TableTransform:
        return self._learnt().transform

    def sigmas(self) -> dict[Hashable, list[float]]:
        learnt = self._learnt()
        if not isinstance(learnt.vae.decoder, Decoder):
            return {}
        spread = learnt.vae.decoder.spread().detach().cpu().tolist()
        names = learnt.transform.names
        return {names[i]: [spread[s]] for s, i in enumerate(learnt.transform.layout.scalar_columns)}

    def set_device(self, device: str) -> None:
        self.device = resolve_device(device)
        if self._known is not None:
            self._known.vae.to(self.device)
            if self._known.plan.model.precision == "bfloat16":  # it may have been learnt on another machine
                self._known.vae.multiply_in(fastest_precision(self.device))

    def _learnt(self) -> _Learnt:
        if self._known is None:
            raise NotFittedError
        return self._known

    def _sampler(self, vae: TabularVAE, transform: TableTransform) -> Sampler:
        """What draws rows, and judges them by their numbers beside the columns of the network, too."""
        numbers = self.beside
        beside = None if numbers is None else lambda table: numbers(transform.decode(table, names=transform.names))
        return Sampler(vae, transform.translate, beside=beside)

    # -- drawing ------------------------------------------------------------------------------------------------------

    def sample_frames(
        self,
        n_rows: int,
        *,
        seed: np.random.SeedSequence,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int = 0,
        steps: int | None = None,
        skip: int = 0,
    ) -> Iterator[pd.DataFrame]:
        learnt = self._learnt()
        transform = learnt.transform
        sampler = self._sampler(learnt.vae, transform)
        allowed = {
            i: ConditionTensors(*map(torch.from_numpy, (allowed.choices, allowed.lower, allowed.upper)))
            for i, allowed in transform.allow(conditions or {}).items()
        }
        if not missing:
            allowed = sampler.without_missing(allowed)
        how: dict[str, Any] = {"conditions": allowed, "decode": decode, "steps": steps}
        blocks = sampler.blocks(n_rows, child(seed, Draw.ROWS), skip=skip, **how)
        first_id += skip
        while batch := list(itertools.islice(blocks, _BLOCKS_A_FRAME)):
            table = EncodedTable.concatenate(batch)
            # One generator for all frames: identifiers then depend on the row's number alone.
            yield transform.decode(table, rng=generator(seed, Draw.CELLS), n_offset=first_id)
            first_id += len(table)

    def sample_rest(self, skip: int, n_rows: int, **how: Any) -> Iterator[pd.DataFrame]:
        return self.sample_frames(n_rows, skip=skip, **how)

    # -- partial rows -------------------------------------------------------------------------------------------------

    def outside(self, df: pd.DataFrame) -> dict[Hashable, int]:
        return {name: int(cells.sum()) for name, cells in self.transform.outside(df).items()}

    def complete(
        self,
        df: pd.DataFrame,
        *,
        seed: np.random.SeedSequence,
        missing: bool = True,
        decode: str | None = None,
        first_id: int = 0,
    ) -> pd.DataFrame:
        transform = self.transform
        refuse_unknown(df, transform.names)
        whole = df.reindex(columns=list(transform.names))
        given = whole.notna().to_numpy()
        table = transform.encode(df, generator(seed, Read.ENCODE), unseen="mask")
        unknown = given & (table.choices < 0)
        if unknown.any() and self.parameters.get("min_count", 1) > 1 and not self.parameters["exact_values"]:
            unknown &= ~transform.nearly_seen(whole)  # kept as they are, and the model is not told of them
        places = {name: np.flatnonzero(cells).tolist() for name, cells in zip(whole, unknown.T, strict=True)}
        ConditionError.raise_any(never_seen(places))
        full = {i for i, name in enumerate(transform.names) if not missing or name in df.columns}
        known = given & (table.choices >= 0)
        drawn = self._drawn(known, table, seed, full, argmax=decode == "argmax", first_id=first_id)
        problems = []
        for i, name in enumerate(whole.columns):
            kept = np.flatnonzero(given[:, i])
            cells = whole[name].iloc[kept]
            whole_numbers = pd.api.types.is_integer_dtype(drawn[name].dtype)
            n = int((cells % 1 != 0).sum()) if whole_numbers and pd.api.types.is_float_dtype(cells.dtype) else 0
            if n:
                problems.append(Problem(f"column {name!r}", f"{n} cells hold fractions, the column whole numbers"))
            elif len(kept):
                # Known cells come back exactly as they were given, not as they were coded.
                drawn[name] = with_cells(drawn[name], kept, cells)
        ConditionError.raise_any(problems)
        return drawn

    def impute(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, may_lack: Collection[Hashable] = ()
    ) -> pd.DataFrame:
        learnt = self._learnt()
        columns = list(learnt.transform.names)
        known = df.reindex(columns=columns).notna().to_numpy()
        rows = np.flatnonzero(~known.all(1))
        # Also where no row has gaps: the columns must be there.
        table = learnt.read(df.iloc[rows], generator(seed, Read.ENCODE))
        out = df.copy()
        if len(rows) == 0:
            return out
        given = known[rows]
        # A cell with an unseen value stays as it is, but tells the model nothing.
        drawn = self._drawn(
            given & (table.choices >= 0), table, seed, {i for i, name in enumerate(columns) if name not in may_lack}
        )
        for i, name in enumerate(columns):
            gaps = ~given[:, i]
            if gaps.any():
                out[name] = with_cells(out[name], rows[gaps], drawn[name].iloc[np.flatnonzero(gaps)])
        return out

    def redrawn(
        self,
        df: pd.DataFrame,
        names: Sequence[Hashable],
        cells: NDArray[np.bool_],
        blocks: NDArray[np.int64],
        *,
        seed: np.random.SeedSequence,
        decode: str | None,
    ) -> pd.DataFrame:
        """Draw cells anew, given all others of rows that were drawn, missing cells included.

        Which ones ``cells`` says, of the columns ``names``. Rows of one block, which follow each other, are drawn together:
        how many numbers a column takes from their generator depends on all of them. **Shape** ``(rows, names)``, ``(rows,)``.
        """
        learnt, done = self._learnt(), list[EncodedTable]()
        columns, table = learnt.transform.names, learnt.read(df, generator(seed, Read.ENCODE))
        known = table.choices >= 0
        known[:, [columns.index(name) for name in names]] &= ~cells
        how: dict[str, Any] = {"full": range(len(columns)), "argmax": decode == "argmax"}
        for block in np.unique(blocks).tolist():
            rows = np.flatnonzero(blocks == block)
            done.append(learnt.sampler.complete(table.take(rows), known[rows], child(seed, block, Read.ROWS), **how))
        return learnt.transform.decode(EncodedTable.concatenate(done), names=names)

    def _drawn(
        self,
        known: NDArray[Any],
        table: EncodedTable,
        seed: np.random.SeedSequence,
        full: set[int],
        *,
        argmax: bool = False,
        first_id: int = 0,
    ) -> pd.DataFrame:
        """Draw the unknown cells; those of the columns ``full`` are never missing."""
        learnt = self._learnt()
        done = learnt.sampler.complete(table, known, child(seed, Read.ROWS), full=full, argmax=argmax)
        return learnt.transform.decode(done, rng=generator(seed, Read.CELLS), n_offset=first_id)

    # -- reading rows -------------------------------------------------------------------------------------------------

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        learnt = self._learnt()
        means = learnt.sampler.embed(learnt.read(df, np.random.default_rng(0)))
        return pd.DataFrame(means, index=df.index, columns=[f"z{d}" for d in range(means.shape[1])])

    def reconstruct(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        learnt = self._learnt()
        decoded = learnt.sampler.reconstruct(learnt.read(df, np.random.default_rng(0)), seed)
        return learnt.transform.decode(decoded, rng=generator(seed, Draw.CELLS)).set_axis(df.index, axis=0)

    def anomaly_scores(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, most_parts: int | None = None
    ) -> pd.DataFrame:
        learnt = self._learnt()
        table = learnt.read(df, generator(seed, Read.ENCODE))
        names, parts = list(learnt.transform.names), None
        if most_parts is not None and most_parts < len(names):
            parts = np.array_split(generator(seed, Read.CELLS).permutation(len(names)), most_parts)
        cells = learnt.sampler.leave_out(table, child(seed, Read.ROWS), parts)
        # A value never seen in n rows: the rule of succession gives it at most one part in n + 1.
        cells = np.where(np.isnan(cells), math.log(learnt.facts["rows"] + 1.0), cells)
        scores = pd.DataFrame(cells, index=df.index, columns=names)
        scores.insert(0, "score", cells.sum(1), allow_duplicates=True)
        return scores

    # -- the generator file's parts -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        learnt = self._learnt()
        return {
            "transforms": learnt.transform.to_plain(),
            "model": {"backend": "native", **listed(asdict(learnt.plan.model))},
            "weights": pack_tensors(to_arrays(learnt.vae)),
            "training": {
                "parameters": self.parameters,
                # No wall-clock time: two fits with one seed give the same bytes.
                "facts": {name: value for name, value in learnt.facts.items() if name != "seconds"},
                "history": packed([epoch._replace(seconds=math.nan) for epoch in learnt.history]),
            },
        }

    @classmethod
    def from_state(cls, parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> NativeBackend:
        """Build the fitted backend that :meth:`state` described; see ``load_backend``."""
        with reading("model"):
            model = ModelPart.model_validate(parts["model"])
        with reading("training"):
            training = TrainingPart.model_validate(parts["training"])
            given = {name: value for name, value in training.parameters.items() if name in Parameters.model_fields}
            parameters = Parameters.model_validate(given)
        with reading("transforms"):
            # Each choice has weights of its own: a small file that tells of many is refused before they are read one by one.
            columns = [part["column"] for part in parts["transforms"]["columns"]]
            n_choices = sum(len(one["categories"]["values"]) if "categories" in one else 1 for one in columns)
            if 4 * n_choices * model.compress_dims[0] > len(parts["weights"]):
                raise ValueError("it has more columns or categories than the weights are for")
            transform = TableTransform.from_plain(parts["transforms"])
            if transform.layout.numbers != NUMBERS[model.decoder]:
                raise ValueError("it does not belong to the decoder")
        config = ModelConfig(**model.model_dump(exclude={"backend"}))
        plan = Plan(config, plan_training(parameters, training.facts.rows, transform.layout.n_columns).training)
        with reading("training"):
            # The first files name no guards, and have none.
            guards = {name: given[name] for name in parameters.guards if name in given}
            if plan.parameters | guards != {"precision": "float32"} | training.parameters:
                raise ValueError("these are not its model's parameters")
        with reading("weights"):
            arrays = unpack_tensors(parts["weights"], expected_arrays(config, transform.layout))
            vae = vae_from_arrays(config, transform.layout, arrays)
        backend = cls(**{**given, "device": device})
        history = [Epoch(int(row[0]), *row[1:]) for row in training.history]
        backend._known = _Learnt(plan, transform, vae, history, training.facts.model_dump(), guards)
        backend.set_device(device)
        return backend


def _others(
    df: pd.DataFrame,
    metadata: Metadata,
    beyond: Beyond,
    transform: TableTransform,
    seed: np.random.SeedSequence,
    held_out: NDArray[np.int64],
    order: np.random.SeedSequence,
) -> SpooledRows:
    """Return a source of all rows but those held out, and those of the same people."""
    rng, unit = generator(seed, Fit.ENCODE, 1), metadata.unit
    places, people = beyond.places[held_out], None if unit is None else set(df[unit].iloc[held_out].dropna())
    narrow = torch.int16 if max(column.n_choices for column in transform.layout.columns) < 2**15 else torch.int32

    def blocks() -> Iterator[list[torch.Tensor]]:
        for frame in beyond.frames():
            is_other = ~frame.index.isin(places)
            if people is not None:
                is_other &= ~frame[unit].isin(people).to_numpy()
            table = transform.encode(frame[is_other], rng, "fold")
            # In a block of which no cell of a column was in the sample there are no others to count to.
            choices, *rest = table_tensors(table.take((table.choices >= 0).all(axis=1)), transform.layout)
            yield [choices.to(narrow), *rest]

    return SpooledRows(blocks(), beyond.n_rows, order)


def _not_finite(vae: TabularVAE, table: EncodedTable, transform: TableTransform) -> str:
    """Name the columns whose likelihood is not finite in the first rows."""
    choices, scalars, _, equals = table_tensors(table.take(slice(0, 1000)), transform.layout)
    rows = Rows(choices.long().to(vae.device), scalars.to(vae.device), equals.to(vae.device))
    columns = vae.not_finite(rows, torch_generator(np.random.SeedSequence(0), vae.device))
    if len(columns) == transform.layout.n_columns:
        # When the shared trunk is lost, every column is: the widest range of numbers is the likeliest culprit.
        columns = columns[:3]
    names = ", ".join(repr(transform.names[i]) for i in columns)
    return f" (not finite in: {names})" if names else ""


def _rounded(epoch: Epoch) -> Epoch:
    """Return an epoch to four decimals of a nat: as many as a curve shows, where sixteen would tell of single rows."""
    return Epoch(epoch.epoch, *(round(value, 4) for value in epoch[1:]))
