"""The native engine as a backend: transforms, autoencoder, trainer and sampler put together.

It knows all rooms below it; it must not know YAML, HTML or the generator file's outer shape. It never imports sdv, ctgan,
rdt or copulas.
"""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pydantic
import torch
from tqdm.auto import tqdm

from clover_tvae.artifact import pack_tensors, unpack_tensors
from clover_tvae.backends.sizing import Plan, plan_training
from clover_tvae.encoded import EncodedTable
from clover_tvae.errors import (
    ColumnsMismatchError,
    ConditionError,
    CorruptArtifactError,
    DivergedError,
    NotFittedError,
    Problem,
    did_you_mean,
)
from clover_tvae.metadata import Metadata
from clover_tvae.model.build import (
    NUMBERS,
    DecoderName,
    ModelConfig,
    build_vae,
    expected_arrays,
    to_arrays,
    vae_from_arrays,
)
from clover_tvae.model.decoder import Decoder
from clover_tvae.model.devices import one_thread, resolve_device, torch_generator
from clover_tvae.model.rows import Allowance, Rows
from clover_tvae.model.vae import TabularVAE, table_tensors
from clover_tvae.parameters import LARGEST_WIDTH, Parameters
from clover_tvae.sampling import BLOCK_ROWS, Sampler
from clover_tvae.training import Epoch, Trainer
from clover_tvae.transforms import TableTransform

__all__ = ["NativeBackend"]

logger = logging.getLogger(__name__)

#: Encoded blocks that are put back into pandas together: pandas is slow on many small frames.
_BLOCKS_A_FRAME = 64


def _child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """The child of ``seed`` for one purpose; unlike ``spawn`` it does not depend on what was asked for before."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))


class NativeBackend:
    """Our own engine, with either decoder.

    Args:
        **given: Parameters of ``TVAESynthesizer``; ``None`` leaves one to the table's size.

    Raises:
        ConfigError: Parameters out of range; all of them are named.
    """

    name = "native"

    def __init__(self, **given: Any) -> None:
        self.given = Parameters.of(**given)
        self.decoder: DecoderName = self.given.decoder or "autoregressive"
        self.device = resolve_device(self.given.device or "cpu")
        self._plan: Plan | None = None
        self._transform: TableTransform | None = None
        self._vae: TabularVAE | None = None
        self._history: list[Epoch] = []
        self._facts: dict[str, Any] = {}

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(
        self, df: pd.DataFrame, metadata: Metadata, *, seed: int | np.random.SeedSequence | None, verbose: bool = False
    ) -> NativeBackend:
        """Learn ``df``, which must have passed ``metadata.validate``.

        Raises:
            DataError: The table cannot be learnt.
            DivergedError: The loss stopped being a number before anything was learnt; the columns are named.
        """
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        started = time.monotonic()
        transform = TableTransform.fit(
            df,
            metadata,
            numbers=NUMBERS[self.decoder],
            copies=self.decoder == "autoregressive",
            rng=np.random.default_rng(_child(sequence, 0)),
        )
        table = transform.encode(df, np.random.default_rng(_child(sequence, 1)))
        layout = transform.layout
        plan = plan_training(self.given, len(df), layout.n_columns, n_choices=layout.n_choices)
        logger.info("%s", plan.describe())
        if verbose:
            # Only this line and the progress bar are ever shown.
            tqdm.write(f"{len(df):,} rows x {layout.n_columns} columns: {plan.describe()}", file=sys.stderr)
        vae = build_vae(plan.model, transform.layout, torch_generator(_child(sequence, 2)), table.choices)
        trainer = Trainer(plan.training, device=self.device, verbose=verbose)
        tensors = table_tensors(table, transform.layout)
        try:
            training = trainer.fit(vae, tensors, seed=_child(sequence, 3))
        except DivergedError as error:
            raise DivergedError(f"{error}{self._blame(vae, table, transform)}") from None
        if training.stopped == "diverged":
            warnings.warn(
                f"training diverged in epoch {training.diverged_at}; the weights of epoch {training.best_epoch} are "
                f"kept{self._blame(vae, table, transform)}",
                RuntimeWarning,
                stacklevel=3,
            )
        with one_thread():
            vae.fit_prior(tensors, torch_generator(_child(sequence, 4), self.device))
        self._plan, self._transform, self._vae, self._history = plan, transform, vae.eval(), training.history
        self._facts = {
            "rows": len(df),
            "seconds": round(time.monotonic() - started, 3),
            "best_epoch": training.best_epoch,
            "stopped": training.stopped,
            "device": str(self.device),
        }
        return self

    def _blame(self, vae: TabularVAE, table: EncodedTable, transform: TableTransform) -> str:
        """Name the columns whose likelihood is not finite in the first rows."""
        first = table.take(slice(0, 1000))
        choices, scalars, _, equals = table_tensors(first, transform.layout)
        rows = Rows(choices.long().to(vae.device), scalars.to(vae.device), equals.to(vae.device))
        columns = vae.not_finite(rows, torch_generator(np.random.SeedSequence(0), vae.device))
        if not columns or len(columns) == transform.layout.n_columns:
            # When the shared trunk is lost, every column is: the widest range of numbers is the likeliest culprit.
            columns = columns[:3]
        names = ", ".join(repr(transform.names[i]) for i in columns)
        return f" (not finite in: {names})" if names else ""

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters in force, defaults resolved once the table is known."""
        return {"decoder": self.decoder, **self.given.given()} if self._plan is None else self._plan.parameters

    @property
    def history(self) -> list[dict[str, float]]:
        """One dict an epoch, in nats a row."""
        return [epoch._asdict() for epoch in self._history]

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, best epoch, why training ended, device; and the seconds, where it was trained in this process."""
        return dict(self._facts)

    @property
    def kinds(self) -> dict[Hashable, str]:
        """The kind of every column that was learnt or left out."""
        _, transform = self._fitted()
        return {**{column.name: column.kind for column in transform.transforms}, **dict(transform.left_out)}

    def sigmas(self) -> dict[Hashable, list[float]]:
        """The learned standard deviation of every numeric column (independent decoder), in units of its mode's scale."""
        vae, transform = self._fitted()
        if not isinstance(vae.decoder, Decoder):
            return {}
        spread = vae.decoder.spread().detach().cpu().tolist()
        return {transform.names[i]: [spread[s]] for s, i in enumerate(transform.layout.scalar_columns)}

    def set_device(self, device: str) -> None:
        """Move the networks to ``device``."""
        self.device = resolve_device(device)
        if self._vae is not None:
            self._vae.to(self.device)

    def _fitted(self) -> tuple[TabularVAE, TableTransform]:
        if self._vae is None or self._transform is None:
            raise NotFittedError("the synthesizer has not learnt a table yet; call fit() first, or load a generator")
        return self._vae, self._transform

    def _sampler(self) -> Sampler:
        vae, transform = self._fitted()
        return Sampler(vae, transform.translate if transform.layout.copy_pairs else None)

    # -- drawing ------------------------------------------------------------------------------------------------------

    def sample(
        self,
        n_rows: int,
        *,
        seed: int | np.random.SeedSequence | None,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
    ) -> pd.DataFrame:
        """Draw ``n_rows`` rows."""
        frames = list(self.sample_frames(n_rows, seed=seed, conditions=conditions, decode=decode, missing=missing))
        if len(frames) == 1:
            return frames[0]
        return pd.concat(frames, ignore_index=True)

    def sample_frames(
        self,
        n_rows: int,
        *,
        seed: int | np.random.SeedSequence | None,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_row: int = 0,
        first_id: int = 0,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows in frames of flat size; together they are the same rows whatever ``first_row`` they start at.

        ``first_id`` identifiers are passed over before the first.
        """
        _, transform = self._fitted()
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        sampler = self._sampler()
        allowances = self._allowances(transform, conditions or {})
        if not missing:
            allowances = sampler.without_missing(allowances)
        blocks = sampler.blocks(
            n_rows, _child(sequence, 0), allowances=allowances, argmax=decode == "argmax", first_row=first_row
        )
        start, batch = first_row, []
        if n_rows == 0:
            empty = Rows.blank(0, transform.layout)
            blocks = iter(
                [EncodedTable(empty.choices.int().numpy(), empty.scalars.numpy(), None, empty.equals.numpy())]
            )
        for block in blocks:
            batch.append(block)
            if len(batch) == _BLOCKS_A_FRAME:
                yield self._frame(transform, batch, first_id + start, sequence)
                start, batch = start + sum(len(b) for b in batch), []
        if batch:
            yield self._frame(transform, batch, first_id + start, sequence)

    def _frame(
        self,
        transform: TableTransform,
        blocks: list[EncodedTable],
        start: int,
        seed: np.random.SeedSequence,
    ) -> pd.DataFrame:
        table = EncodedTable(
            np.concatenate([b.choices for b in blocks]),
            np.concatenate([b.scalars for b in blocks]),
            None,
            None if blocks[0].equals is None else np.concatenate([b.equals for b in blocks if b.equals is not None]),
        )
        # One generator for all frames: identifiers then depend on the row's number alone.
        return transform.decode(table, rng=np.random.default_rng(_child(seed, 1)), n_offset=start)

    @staticmethod
    def _allowances(transform: TableTransform, conditions: Mapping[Hashable, Any]) -> dict[int, Allowance]:
        return {
            i: Allowance(torch.from_numpy(a.choices), torch.from_numpy(a.lower), torch.from_numpy(a.upper))
            for i, a in transform.allow(conditions).items()
        }

    # -- partial rows -------------------------------------------------------------------------------------------------

    def complete(
        self,
        df: pd.DataFrame,
        *,
        seed: int | np.random.SeedSequence | None,
        missing: bool = True,
        decode: str | None = None,
    ) -> pd.DataFrame:
        """Draw the empty cells of ``df`` (and the columns that it lacks) from the model, given the others.

        Args:
            df: Rows with some or all of the modelled columns; what is missing is drawn.
            seed: Fixes the draws.
            missing: Whether cells of the columns that ``df`` lacks may be missing; gaps of its own columns are filled.
            decode: ``"argmax"`` takes the likeliest cells instead of drawing them.

        Raises:
            ConditionError: A column is unknown, or cells hold values that were never seen in training.
        """
        _, transform = self._fitted()
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        unknown = [c for c in df.columns if c not in transform.names]
        if unknown:
            raise ConditionError(
                [Problem(f"column {c!r}", f"not a modelled column{did_you_mean(c, transform.names)}") for c in unknown]
            )
        whole = df.reindex(columns=list(transform.names))
        given = whole.notna().to_numpy()
        table = transform.encode(df, np.random.default_rng(_child(sequence, 0)), unseen="mask")
        unseen = given & (table.choices < 0)
        if unseen.any():
            raise ConditionError(
                [
                    Problem(
                        f"column {name!r}",
                        f"{int(n)} cells hold values that were never seen in training; leave them empty to have them drawn",
                    )
                    for name, n in zip(transform.names, unseen.sum(0), strict=True)
                    if n
                ]
            )
        full = {i for i, name in enumerate(transform.names) if not missing or name in df.columns}
        drawn = self._drawn(given, table, sequence, full, argmax=decode == "argmax")
        return self._filled(whole, given, drawn)

    def impute(self, df: pd.DataFrame, *, seed: int | np.random.SeedSequence | None) -> pd.DataFrame:
        """Fill the missing cells of ``df`` with draws from the model given the rest of the row; all else is untouched."""
        _, transform = self._fitted()
        self._need_columns(df, transform)
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        columns = list(transform.names)
        rows = np.flatnonzero(df[columns].isna().any(axis=1).to_numpy())
        out = df.copy()
        if len(rows) == 0:
            return out
        whole = df[columns].iloc[rows]
        given = whole.notna().to_numpy()
        table = transform.encode(whole, np.random.default_rng(_child(sequence, 0)), unseen="mask")
        # A cell with an unseen value stays as it is, but tells the model nothing.
        drawn = self._drawn(given & (table.choices >= 0), table, sequence, set(range(len(columns))))
        for i, name in enumerate(columns):
            gaps = ~given[:, i]
            if gaps.any():
                out[name] = _fill(out[name], rows[gaps], drawn[name].iloc[np.flatnonzero(gaps)])
        return out

    def _drawn(
        self,
        known: np.ndarray,
        table: EncodedTable,
        seed: np.random.SeedSequence,
        full: set[int],
        *,
        argmax: bool = False,
    ) -> pd.DataFrame:
        """Draw the unknown cells; those of the columns ``full`` are never missing."""
        _, transform = self._fitted()
        done = self._sampler().complete(table, known, _child(seed, 1), full=full, argmax=argmax)
        return transform.decode(done, rng=np.random.default_rng(_child(seed, 2)))

    def _filled(self, whole: pd.DataFrame, given: np.ndarray, drawn: pd.DataFrame) -> pd.DataFrame:
        problems = []
        for i, name in enumerate(whole.columns):
            kept = np.flatnonzero(given[:, i])
            if not len(kept):
                continue
            cells = whole[name].iloc[kept]
            if pd.api.types.is_integer_dtype(drawn[name].dtype) and pd.api.types.is_float_dtype(cells.dtype):
                n = int((cells % 1 != 0).sum())
                if n:
                    problems.append(Problem(f"column {name!r}", f"{n} cells hold fractions, the column whole numbers"))
                    continue
            # Known cells come back exactly as they were given, not as they were coded.
            drawn[name] = _fill(drawn[name], kept, cells)
        if problems:
            raise ConditionError(problems)
        return drawn

    # -- reading rows -------------------------------------------------------------------------------------------------

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        """Mean of ``q(z | x)`` of every row, on ``df``'s index."""
        _, transform = self._fitted()
        self._need_columns(df, transform)
        table = transform.encode(df[list(transform.names)], np.random.default_rng(0), unseen="mask")
        means = self._sampler().embed(table)
        return pd.DataFrame(means, index=df.index, columns=[f"z{d}" for d in range(means.shape[1])])

    def reconstruct(self, df: pd.DataFrame, *, seed: int | np.random.SeedSequence | None = 0) -> pd.DataFrame:
        """Decode the posterior mean of every row: what the latent space keeps of it."""
        _, transform = self._fitted()
        self._need_columns(df, transform)
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        table = transform.encode(df[list(transform.names)], np.random.default_rng(0), unseen="mask")
        frame = transform.decode(
            self._sampler().reconstruct(table, sequence), rng=np.random.default_rng(_child(sequence, 1))
        )
        return frame.set_axis(df.index, axis=0)

    def anomaly_scores(self, df: pd.DataFrame, *, seed: int | np.random.SeedSequence | None = 0) -> pd.DataFrame:
        """``-log p(cell | rest of the row)`` of every cell, in nats, and their sum a row first."""
        _, transform = self._fitted()
        self._need_columns(df, transform)
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        columns = list(transform.names)
        table = transform.encode(df[columns], np.random.default_rng(_child(sequence, 0)), unseen="mask")
        cells = self._sampler().leave_one_out(table, _child(sequence, 1))
        # A value never seen in n rows: the rule of succession gives it at most one part in n + 1.
        cells = np.where(np.isnan(cells), math.log(self._facts.get("rows", 1) + 1.0), cells)
        scores = pd.DataFrame(cells, index=df.index, columns=columns)
        scores.insert(0, "score", cells.sum(1), allow_duplicates=True)
        return scores

    @staticmethod
    def _need_columns(df: pd.DataFrame, transform: TableTransform) -> None:
        lacking = [c for c in transform.names if c not in df.columns]
        if lacking:
            raise ColumnsMismatchError(
                [
                    Problem(
                        f"column {c!r}",
                        "is not in the table, and was learnt; add it, with missing cells where nothing is known"
                        + did_you_mean(c, [name for name in df.columns if name not in transform.names]),
                    )
                    for c in lacking
                ]
            )

    # -- the generator file's parts -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return ``transforms``, ``model``, ``weights`` and ``training`` as plain data."""
        vae, transform = self._fitted()
        assert self._plan is not None
        model = self._plan.model
        return {
            "transforms": transform.to_plain(),
            "model": {
                "backend": "native",
                "decoder": model.decoder,
                "compress_dims": list(model.compress_dims),
                "decompress_dims": list(model.decompress_dims),
                "embedding_dim": model.embedding_dim,
                "loss_factor": float(model.loss_factor),
                "free_bits": float(model.free_bits),
                "dropout": float(model.dropout),
                "prior_components": model.prior_components,
            },
            "weights": pack_tensors(to_arrays(vae)),
            "training": {
                "parameters": self.parameters,
                # No wall-clock time: two fits with one seed give the same bytes.
                "facts": {name: self._facts[name] for name in ("rows", "best_epoch", "stopped", "device")},
                "history": [[float(value) for value in epoch._replace(seconds=math.nan)] for epoch in self._history],
            },
        }

    @classmethod
    def from_state(cls, parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> NativeBackend:
        """Build the fitted backend that :meth:`state` described, after checking every part of it.

        Raises:
            CorruptArtifactError: A part is not what it should be; the part is named.
        """
        try:
            model = _ModelPart.model_validate(parts["model"])
            training = _TrainingPart.model_validate(parts["training"])
            given = Parameters.model_validate(
                {name: value for name, value in training.parameters.items() if name not in ("dropout", "free_bits")}
            )
        except pydantic.ValidationError as error:
            raise CorruptArtifactError(_first_problem(error)) from None
        try:
            transform = TableTransform.from_plain(parts["transforms"])
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptArtifactError(f"the file's transforms are not valid: {error}") from None
        if transform.layout.numbers != NUMBERS[model.decoder]:
            raise CorruptArtifactError("the file's transforms and its decoder do not belong together")
        config = ModelConfig(
            decoder=model.decoder,
            compress_dims=tuple(model.compress_dims),
            decompress_dims=tuple(model.decompress_dims),
            embedding_dim=model.embedding_dim,
            loss_factor=model.loss_factor,
            free_bits=model.free_bits,
            dropout=model.dropout,
            prior_components=model.prior_components,
        )
        arrays = unpack_tensors(parts["weights"], expected_arrays(config, transform.layout))
        try:
            vae = vae_from_arrays(config, transform.layout, arrays)
        except ValueError as error:
            raise CorruptArtifactError(f"the file's weights are not valid: {error}") from None
        if not all(1 <= row[0] <= 2**53 for row in training.history):  # not so of NaN either
            raise CorruptArtifactError("the file's training part is not valid: history: epochs must count from 1")
        backend = cls(decoder=model.decoder, device=device)
        backend._transform, backend._vae = transform, vae.to(backend.device)
        backend.given = given
        plan = plan_training(given, training.facts.rows, transform.layout.n_columns)
        backend._plan = Plan(config, plan.training)
        if backend.parameters != training.parameters:
            raise CorruptArtifactError(
                "the file's training part is not valid: its parameters are not those of its model"
            )
        backend._history = [Epoch(int(row[0]), *row[1:]) for row in training.history]
        backend._facts = training.facts.model_dump()
        return backend


def _fill(column: pd.Series, positions: np.ndarray, values: pd.Series) -> pd.Series:
    """Put ``values`` into ``column`` at ``positions``, keeping its dtype wherever it can hold them."""
    filled = column.copy()
    try:
        filled.iloc[positions] = values.astype(column.dtype).array  # type: ignore[call-overload]
    except (TypeError, ValueError):
        # Such as an all-missing object column, or a category dtype that lacks the category.
        wide = column.astype(object)
        wide.iloc[positions] = values.astype(object).array  # type: ignore[call-overload]
        return wide if isinstance(column.dtype, pd.CategoricalDtype) else wide.infer_objects()
    return filled


# -- the shape of the file's parts ------------------------------------------------------------------------------------

_Width = Annotated[int, pydantic.Field(ge=1, le=LARGEST_WIDTH)]
_Widths = Annotated[list[_Width], pydantic.Field(min_length=1, max_length=64)]
_Count = Annotated[int, pydantic.Field(ge=0, le=2**53)]
_Share = Annotated[float, pydantic.Field(ge=0, lt=1, allow_inf_nan=False)]
_Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class _ModelPart(_Strict):
    backend: Literal["native"]
    decoder: Literal["autoregressive", "independent"]
    compress_dims: _Widths
    decompress_dims: _Widths
    embedding_dim: _Width
    loss_factor: _Positive
    free_bits: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
    dropout: _Share
    prior_components: Annotated[int, pydantic.Field(ge=0, le=64)] = 0  # the first files have none


class _Facts(_Strict):
    rows: _Count
    best_epoch: _Count
    stopped: Literal["epochs", "patience", "minutes", "diverged"]
    device: Annotated[str, pydantic.Field(max_length=64)]


class _TrainingPart(_Strict):
    parameters: dict[str, Any]
    facts: _Facts
    history: Annotated[
        list[Annotated[list[float], pydantic.Field(min_length=8, max_length=8)]], pydantic.Field(max_length=1_000_000)
    ]


def _first_problem(error: pydantic.ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"the file's model or training part is not valid: {place}: {first['msg']}"


assert BLOCK_ROWS * _BLOCKS_A_FRAME <= 2**20
