"""SDV's TVAE behind the face of a backend: the incumbent, to compare with and to carry on with.

The only module that imports sdv (Business Source License: see the README for what it means to you). It knows SDV's
objects, seeds them, keeps them quiet, and hands them numbers and labels only (``sdv_rows``), so that nothing that SDV
says, warns or raises can quote a cell.

References:
    Xu, Skoularidou, Cuesta-Infante & Veeramachaneni 2019, Modeling tabular data using conditional GAN, arXiv 1907.00503.
    SDV 2, TVAESynthesizer: https://docs.sdv.dev/sdv/single-table-data/modeling/synthesizers/tvaesynthesizer
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import time
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import Self

from clover_tvae.backends.isolation import isolated, quiet
from clover_tvae.backends.protocol import Backend, reading
from clover_tvae.backends.sdv_rows import encoded, flat_names, flattened, loosened, table_from_plain
from clover_tvae.errors import (
    ConditionError,
    ConfigError,
    CorruptArtifactError,
    MissingExtraError,
    NotFittedError,
    TrainingError,
    UnsafeArtifactError,
    UserError,
)
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import Parameters, listed
from clover_tvae.seeds import Draw, Sdv, Seed, child, generator, root
from clover_tvae.tables import Beyond
from clover_tvae.transforms import TableTransform
from clover_tvae.transforms.numbers import NumberTransform

if TYPE_CHECKING:
    from clover_tvae.training import Checkpoint

SDV_DEFAULTS: Mapping[str, Any] = {
    "epochs": 300,
    "batch_size": 500,
    "compress_dims": (128, 128),
    "decompress_dims": (128, 128),
    "embedding_dim": 128,
    "weight_decay": 1e-5,
    "loss_factor": 2.0,
    "enforce_min_max_values": True,
    "enforce_rounding": True,
}
"""What ``None`` means for each parameter: SDV 2's own defaults."""

_SDV_NAMES = {"weight_decay": "l2scale"}
_LOGGERS = ("sdv", "ctgan", "rdt", "copulas", "SingleTableSynthesizer", "Metadata")
_TABLE = "table"
#: Rows are drawn in blocks of this size, each with its own seed, so that a longer sample starts with the shorter one.
_BLOCK_ROWS = 5_000
#: How many rows are drawn, at most, for each row that meets the conditions; and at least.
_DRAWS_A_ROW = 200
_MIN_DRAWS = 200_000
_UNKNOWN = ("reconstruction", "kl", "validation_loss", "validation_reconstruction", "validation_kl")


class SdvBackend(Backend):
    """SDV 2's ``TVAESynthesizer``, seeded, quiet, and with the dtypes of the training table put back.

    ``None`` takes SDV's default (:data:`SDV_DEFAULTS`). SDV always takes the likeliest category (``argmax``), puts
    missing numbers at random places, and draws conditional rows by throwing others away; the native engine does not.

    Args:
        **given: Parameters of ``TVAESynthesizer``; ``weight_decay`` is SDV's ``l2scale``.

    Raises:
        ConfigError: With every parameter that is out of range, or that SDV does not have.
        MissingExtraError: The package sdv is not installed.
    """

    name = "sdv"

    def __init__(self, **given: Any) -> None:
        checked = Parameters.of(**{**given, "backend": self.name})
        parameters = checked.given()
        self._settings: dict[str, Any] = {name: parameters.get(name, default) for name, default in SDV_DEFAULTS.items()}
        self._guards = checked.guards
        _sdv_version()
        self._device = _device(parameters.get("device", "cpu"))
        self._synthesizer: Any = None
        self._table: TableTransform | None = None
        self._losses: list[float] = []
        self._facts: dict[str, Any] = {}

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        seed: Seed = None,
        verbose: bool = False,
        checkpoint: Checkpoint | None = None,
        beyond: Beyond | None = None,
    ) -> Self:
        if checkpoint is not None:
            raise ConfigError("the 'sdv' backend cannot go on from one; leave it out", "checkpoint")
        if beyond is not None:
            raise ConfigError(f"the 'sdv' backend learns tables in memory, of up to {len(df):,} rows here", "df")
        started = time.monotonic()
        rng = np.random.default_rng(0)
        table = loosened(
            TableTransform.fit(df, metadata, numbers="raw", rng=rng, **self._guards),
            keep_range=self._settings["enforce_min_max_values"],
            keep_decimals=self._settings["enforce_rounding"],
        )
        flat = flattened(table, table.encode(df, rng, "fold"))
        sdtypes = {
            name: {"sdtype": "numerical" if isinstance(column, NumberTransform) else "categorical"}
            for name, column in zip(flat, table.transforms, strict=True)
        }
        settings: dict[str, Any] = {_SDV_NAMES.get(name, name): value for name, value in self._settings.items()}
        from clover_tvae.model.devices import flushed_denormals

        with (
            isolated(child(root(seed), Sdv.GLOBALS), _LOGGERS, progress=verbose),
            flushed_denormals(),
            _translated("learn"),
        ):
            from sdv.metadata import Metadata as SdvMetadata
            from sdv.single_table import TVAESynthesizer as SdvSynthesizer

            synthesizer = SdvSynthesizer(
                SdvMetadata.load_from_dict({"columns": sdtypes}, single_table_name=_TABLE),
                **settings,
                verbose=verbose,
                enable_gpu=self._device.type != "cpu",
            )
            synthesizer.fit({_TABLE: flat})
            losses = synthesizer.get_loss_values()
        self._synthesizer, self._table = synthesizer, table
        self._losses = [float(loss) for loss in losses.groupby("Epoch")["Loss"].mean()]
        self._facts = {
            "rows": len(df),
            "seconds": round(time.monotonic() - started, 3),
            "best_epoch": len(self._losses),
            "stopped": "epochs",
            "device": str(self._device),
        }
        return self

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Any]:
        return listed(self._settings) | self._guards

    @property
    def history(self) -> list[dict[str, float]]:
        # SDV tells the mean loss only.
        unknown = dict.fromkeys(_UNKNOWN, math.nan)
        return [
            {"epoch": epoch, "seconds": math.nan, "loss": loss, **unknown}
            for epoch, loss in enumerate(self._losses, start=1)
        ]

    @property
    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    @property
    def transform(self) -> TableTransform:
        if self._table is None:
            raise NotFittedError
        return self._table

    def sigmas(self) -> dict[Hashable, list[float]]:
        table = self.transform
        sigma = self._synthesizer._model.decoder.sigma.detach().cpu().tolist()
        names = dict(zip(flat_names(table), table.names, strict=True))
        found: dict[Hashable, list[float]] = {}
        place = 0
        for column in self._synthesizer._model.transformer._column_transform_info_list:
            for span in column.output_info:
                if span.activation_fn == "tanh":
                    found.setdefault(names[column.column_name], []).append(sigma[place])
                place += span.dim
        return found

    def set_device(self, device: str) -> None:
        self._device = _device(device)
        if self._synthesizer is not None:
            self._synthesizer._model.set_device(self._device)

    # -- drawing ------------------------------------------------------------------------------------------------------

    def sample_frames(
        self,
        n_rows: int,
        *,
        seed: Seed = None,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int = 0,
        steps: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        table, conditions = self.transform, dict(conditions or {})
        Parameters.of(decode=decode)  # the likeliest category is drawn whatever it says
        table.allow(conditions)
        seed, conditional = root(seed), bool(conditions) or not missing
        limit = max(_MIN_DRAWS, _DRAWS_A_ROW * n_rows)
        place = n_drawn = block = 0
        while place < n_rows or block == 0:
            if conditional and n_drawn >= limit:
                raise ConditionError(
                    f"{place} of the {n_rows} rows wanted were found among {n_drawn} rows drawn: the SDV backend can only "
                    "throw rows away until enough meet the conditions; use backend='native', which draws them exactly"
                )
            rows = encoded(table, self._block(child(seed, Draw.ROWS, block)))
            n_drawn, block = n_drawn + len(rows), block + 1
            if conditional:
                rows = rows.take(table.meets(rows, conditions, missing=missing))
            rows = rows.take(slice(0, n_rows - place))
            if len(rows) or n_rows == 0:
                # One generator for all frames: identifiers then depend on the row's number alone.
                yield table.decode(rows, generator(seed, Draw.CELLS), n_offset=first_id + place)
            place += len(rows)

    def _block(self, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Draw one block of flat rows."""
        with isolated(child(seed, Sdv.GLOBALS), _LOGGERS), _translated("sample"):
            # SDV seeds itself with a constant the first time, and its transformers with the names of the columns.
            self._synthesizer._set_random_state(int(child(seed, Sdv.SYNTHESIZER).generate_state(1)[0]))
            for i, (_, transformer) in enumerate(sorted(self._synthesizer.get_transformers().items())):
                if transformer is not None:
                    gaps = np.random.RandomState(np.random.MT19937(child(seed, Sdv.TRANSFORMER, i)))
                    transformer.set_random_state(gaps, "reverse_transform")
            return self._synthesizer.sample(_BLOCK_ROWS)[_TABLE]

    # -- the generator file's parts -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        # SDV's object can only be kept as a pickle: it travels in the weights, and the model says so.
        import cloudpickle
        import torch

        table = self.transform
        model = self._synthesizer._model
        # A machine without a GPU must be able to open the file.
        model.set_device(torch.device("cpu"))
        pickle = cloudpickle.dumps(self._synthesizer, protocol=5)
        model.set_device(self._device)
        return {
            "transforms": table.to_plain(),
            "model": {"backend": self.name, "sdv": _sdv_version(), "pickle": True},
            "weights": pickle,
            "training": {"parameters": self.parameters, "facts": self.facts, "losses": list(self._losses)},
        }

    @classmethod
    def from_state(cls, parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> SdvBackend:
        """Build the fitted backend that :meth:`state` described; see ``load_backend``."""
        if not trust_pickle:
            raise UnsafeArtifactError(
                "the file holds a generator of the SDV backend: a pickle, and opening a pickle can run any code on this "
                "machine. Nothing was opened. If you made the file yourself, or trust its maker as you would trust a "
                "program of theirs, load it with trust_pickle=True; or fit again with backend='native', whose files "
                "never run code"
            )
        with reading("training"):
            training = parts["training"]
            backend = cls(**training["parameters"])
            # The first files name no guards, and have none.
            backend._guards = {name: value for name, value in backend._guards.items() if name in training["parameters"]}
            backend._facts = {name: training["facts"][name] for name in _FACTS}
            backend._losses = [float(loss) for loss in training["losses"]]
            if not backend._losses:
                raise ValueError("losses: must be at least one, found none")
        with reading("transforms"):
            backend._table = table_from_plain(parts["transforms"], parts.get("metadata"))
        with reading("model"):
            backend._synthesizer = _open_pickle(parts["weights"], parts["model"]["sdv"])
            if set(flat_names(backend._table)) != set(backend._synthesizer.get_transformers()):
                raise ValueError("its columns are not those of the transforms")
        backend.set_device(device)
        return backend


_FACTS = ("rows", "seconds", "best_epoch", "stopped", "device")


def _open_pickle(pickle: bytes, writer: object) -> Any:
    """Return the synthesizer in a pickle whose maker is trusted."""
    import cloudpickle

    with quiet(_LOGGERS):
        from sdv.single_table import TVAESynthesizer as SdvSynthesizer

        try:
            synthesizer = cloudpickle.loads(pickle)
        except Exception as error:
            raise CorruptArtifactError(
                f"SDV's pickle could not be opened ({type(error).__name__}): it was written with sdv {str(writer)[:20]}, "
                f"installed is sdv {_sdv_version()}; install that version, or fit again"
            ) from None
    if not isinstance(synthesizer, SdvSynthesizer):
        raise CorruptArtifactError("the pickle in the file holds no TVAESynthesizer of SDV")
    return synthesizer


def _sdv_version() -> str:
    try:
        # A broken installation must be told now, not after the table was prepared.
        with quiet(_LOGGERS):
            import sdv.single_table  # noqa: F401
        version = importlib.metadata.version("sdv")
    except ImportError as error:
        raise MissingExtraError("the SDV backend needs the package sdv: pip install 'sdv>=2'") from error
    if int(version.partition(".")[0]) < 2:
        raise MissingExtraError(f"the SDV backend needs sdv 2, found {version}: pip install 'sdv>=2'")
    return version


def _device(name: str) -> Any:
    from clover_tvae.model.devices import resolve_device

    device = resolve_device(name)
    if device.index not in (None, 0):
        raise ConfigError(f"SDV computes on the first GPU only, found {str(name)!r}; use 'cuda'", "device")
    return device


@contextlib.contextmanager
def _translated(verb: str) -> Iterator[None]:
    """Turn whatever SDV raises into our error, without its text, which may quote the table."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise TrainingError(
            f"SDV could not {verb} the table: it raised {type(error).__name__} (its text is left out, because it may quote "
            "the data); use backend='native'"
        ) from None
