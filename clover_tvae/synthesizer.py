"""The synthesizer: the face of the package.

It knows backends, metadata and the generator file; it must not know YAML, HTML or networks.
"""

from __future__ import annotations

import html
import logging
import warnings
from collections.abc import Hashable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clover_tvae.arguments import check_decode, check_frame, check_path, check_row_count, check_seed, check_writable
from clover_tvae.artifact import dump_artifact, read_artifact, write_artifact, writer_versions
from clover_tvae.backends import Backend, ability, load_backend, make_backend
from clover_tvae.balancing import rows_to_add
from clover_tvae.errors import (
    ColumnsMismatchError,
    ConditionError,
    ConfigError,
    DataError,
    MetadataError,
    NotFittedError,
    Problem,
    did_you_mean,
)
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HISTORY_COLUMNS", "TVAESynthesizer"]

logger = logging.getLogger(__name__)

HISTORY_COLUMNS = (
    "epoch",
    "seconds",
    "loss",
    "reconstruction",
    "kl",
    "validation_loss",
    "validation_reconstruction",
    "validation_kl",
)
#: Purposes of the children of the user's seed.
_FIT, _SAMPLE, _BALANCE, _IMPUTE, _REMAINING, _SCORES = range(6)


class TVAESynthesizer:
    """Learns a table and draws synthetic rows from it.

    Args:
        df: The table to learn. May be ``None`` where ``generator_filepath`` exists.
        metadata: What each column is: Clover's dict ``{"continuous": [...], "categorical": [...],
            "variable_to_predict": name}`` (also ``datetime``, ``boolean``, ``ordinal``, ``id``, ``ignore``), a
            :class:`~clover_tvae.Metadata`, or the path of its JSON file. ``None`` infers it from ``df``, with its warnings.
        random_state: A seed from 0 to 2^64 - 1: training and sampling then give the same result in every process;
            left out, one is drawn.
        generator_filepath: A generator that exists is loaded, and ``fit`` is not needed; one that does not is written
            by ``fit``.
        epochs: Passes over the rows: exactly that many, unless ``patience`` or ``max_minutes`` ends training sooner;
            left out, it finds its own length.
        batch_size: Rows a training step.
        compress_dims: Widths of the encoder's hidden layers.
        decompress_dims: Widths of the decoder's hidden layers; of the residual blocks in the autoregressive decoder.
        backend: The engine: ``native`` (default), or ``sdv`` for SDV's own TVAE behind the same face.
        decoder: ``autoregressive`` (default, best), or ``independent``, the TVAE paper's; native backend only.
        embedding_dim: Dimensions of the latent space.
        learning_rate: Step size of the optimiser at its peak.
        weight_decay: Decay of the weight matrices: L2 for Adam, decoupled for Muon.
        loss_factor: Weight of the reconstruction against the KL term.
        gradient_clip: Largest norm of the gradient of a step.
        validation_fraction: Share of the rows held out of training to watch the ELBO.
        patience: Epochs without a better validation ELBO after which training stops.
        max_minutes: Minutes of training by the clock, at most; where this limit strikes, a seed no longer fixes the
            result.
        device: Where to compute: ``cpu`` (default), ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the best at hand.
        decode: ``sample`` (default) draws every choice; ``argmax`` takes the likeliest, as SDV does, and loses rare
            categories.
        verbose: Show a progress bar, and say what was chosen.
        trust_pickle: Open a generator file of the ``sdv`` backend: it holds a pickle, which can run any code.
        discriminator_steps: Accepted with a warning and dropped: a VAE has no discriminator.
        enforce_min_max_values: SDV's own (``sdv`` backend): keep numbers in the range of the table; on by default.
        enforce_rounding: SDV's own (``sdv`` backend): keep the decimals of the table; on by default.

    Defaults where ``None`` (n is the number of rows):

    =====================  =========================  ==========================================================
    parameter              ``independent``            ``autoregressive``
    =====================  =========================  ==========================================================
    epochs                 300                        until the validation ELBO stops improving; at most 4,000 steps,
                                                      or 97,000 / (columns + 19) if that is less; fewer
                                                      where the columns have thousands of categories
    batch_size             500                        128 (n < 3,000), 512 (n < 8,000), 1024
    compress_dims          (128, 128)                 (128, 128)
    decompress_dims        (128, 128)                 (128, 128) (n < 3,000), (256, 256): residual blocks
    embedding_dim          128                        8, with 0.25 free bits (nats) each
    learning_rate          0.001 (Adam)               0.003 (Adam; Muon's 0.02 for the trunk), warmed up; its last part
                                                      descends to 0
    weight_decay           0.00001 (L2)               0.02 (decoupled)
    loss_factor            2                          1
    gradient_clip          none                       1.0
    validation_fraction    0.05                       0.05
    patience               none                       8 epochs, or 300 steps if that is more; none where epochs is given
    max_minutes            none                       none
    =====================  =========================  ==========================================================

    One thread an operator is used, and two halves of a batch side by side: a second free core is used, a busy one does no
    harm, and neither changes the result.

    Attributes:
        history: Learning curves, one row an epoch. ``seconds`` is known where the table was learnt, not after loading: a
            generator file holds no wall-clock time, so that one seed gives the same bytes.
        metadata: What each column is.

    Raises:
        ConfigError: Parameters out of range: all of them are named.
        MetadataError: The metadata is wrong.
        ArtifactError: ``generator_filepath`` exists but is refused.

    References:
        Xu et al. 2019, Modeling Tabular Data using Conditional GAN, arXiv 1907.00503 (TVAE).

    Example:
        >>> import pandas as pd
        >>> df = pd.DataFrame({"age": range(20, 70), "sex": ["F", "M"] * 25})
        >>> metadata = {"continuous": ["age"], "categorical": ["sex"]}
        >>> synth = TVAESynthesizer(df, metadata, random_state=1, epochs=2, verbose=False).fit()
        >>> synth.sample(4, conditions={"sex": "F"})["sex"].tolist()
        ['F', 'F', 'F', 'F']
    """

    def __init__(
        self,
        df: pd.DataFrame | None = None,
        metadata: Metadata | Mapping[str, Any] | str | Path | None = None,
        random_state: int | None = None,
        generator_filepath: str | Path | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        compress_dims: Sequence[int] | None = None,
        decompress_dims: Sequence[int] | None = None,
        *,
        backend: str = "native",
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
        decode: str = "sample",
        verbose: bool = True,
        trust_pickle: bool = False,
        discriminator_steps: int | None = None,
        enforce_min_max_values: bool | None = None,
        enforce_rounding: bool | None = None,
    ) -> None:
        if discriminator_steps is not None:
            warnings.warn("discriminator_steps is dropped: a VAE has no discriminator", UserWarning, stacklevel=2)
        parameters = Parameters.of(
            backend=backend, decoder=decoder, random_state=random_state, epochs=epochs, batch_size=batch_size,
            compress_dims=compress_dims, decompress_dims=decompress_dims, embedding_dim=embedding_dim,
            learning_rate=learning_rate, weight_decay=weight_decay, loss_factor=loss_factor,
            gradient_clip=gradient_clip, validation_fraction=validation_fraction, patience=patience,
            max_minutes=max_minutes, device=str(device), decode=decode, trust_pickle=trust_pickle,
            enforce_min_max_values=enforce_min_max_values, enforce_rounding=enforce_rounding,
        )  # fmt: skip
        self.random_state = parameters.random_state
        self.generator_filepath = (
            None if generator_filepath is None else check_path(generator_filepath, "generator_filepath")
        )
        self.decode, self.verbose = decode, verbose
        self._df = df
        self._seed = _root(self.random_state)
        self._n_calls = 0
        self._digest: str | None = None
        self._writer: dict[str, str] = {}
        self._metadata: Metadata | None = None
        self._n_columns = 0
        given = parameters.given()
        self._backend: Backend = make_backend(given.pop("backend"), **given)
        self._fitted = False
        if self.generator_filepath is not None and self.generator_filepath.exists():
            self._open(self.generator_filepath, device=device, trust_pickle=trust_pickle)
            self._agree_with_file(df, metadata)
            self._warn_of_others(given)
            return
        if df is None:
            place = "" if self.generator_filepath is None else " (generator_filepath does not exist)"
            raise ConfigError(Problem("df", f"a DataFrame is needed where no generator is loaded{place}"))
        if not isinstance(df, pd.DataFrame):
            raise DataError(Problem("df", f"must be a pandas DataFrame, found {type(df).__name__}"))
        self._metadata = Metadata.infer(df) if metadata is None else Metadata.of(metadata)

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self) -> TVAESynthesizer:
        """Learn the table, and write the generator where ``generator_filepath`` says.

        Returns:
            The synthesizer itself.

        Raises:
            DataError: The table does not fit its metadata; every problem is named.
            TrainingError: Training failed.
            NotFittedError: The generator was loaded without a table: there is nothing to learn.
            ConfigError: The folder of ``generator_filepath`` is not there; told before training.
        """
        if self._df is None:
            raise NotFittedError("this generator was loaded without a table; give df and metadata to learn one")
        if self.generator_filepath is not None:
            check_writable(self.generator_filepath, "generator_filepath")
        metadata = self.metadata
        metadata.validate(self._df)
        names = [column.name for column in metadata.columns]
        df = self._df[[name for name in self._df.columns if name in names]]
        self._backend.fit(df, metadata, seed=self._child(_FIT), verbose=self.verbose)
        self._fitted, self._n_calls, self._n_columns = True, 0, len(df.columns)
        self._digest, self._writer = None, {}
        if self.generator_filepath is not None:
            self.save(self.generator_filepath)
        return self

    @property
    def fitted(self) -> bool:
        """Whether there is a table learnt, or loaded."""
        return self._fitted

    @property
    def metadata(self) -> Metadata:
        """What each column is."""
        if self._metadata is None:
            raise NotFittedError("there is no metadata yet; give df and metadata, or load a generator")
        return self._metadata

    @property
    def history(self) -> pd.DataFrame:
        """Learning curves: one row an epoch; loss, reconstruction and KL in nats a row, training and validation."""
        self._need_fit()
        frame = pd.DataFrame(self._backend.history, columns=list(HISTORY_COLUMNS))
        return frame.astype({"epoch": "int64"})

    def loss_curves(self) -> pd.DataFrame:
        """The same as :attr:`history`, under the name that SDV's users look for."""
        return self.history

    def _need_fit(self) -> None:
        if not self._fitted:
            raise NotFittedError("the synthesizer has not learnt a table yet; call fit() first, or load a generator")

    # -- seeds --------------------------------------------------------------------------------------------------------

    def _child(self, purpose: int, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._seed.entropy, spawn_key=(purpose, *key))

    def _call_seed(self, purpose: int, random_state: int | None) -> np.random.SeedSequence:
        """The seed of one call: the user's, or the next in the synthesizer's own sequence."""
        if random_state is not None:
            check_seed(random_state)
            return np.random.SeedSequence(int(random_state), spawn_key=(purpose,))
        self._n_calls += 1
        return self._child(purpose, self._n_calls)

    # -- drawing ------------------------------------------------------------------------------------------------------

    def sample(
        self,
        n_rows: int,
        conditions: Mapping[Hashable, Any] | pd.DataFrame | None = None,
        *,
        random_state: int | None = None,
        decode: str | None = None,
        missing: bool = True,
    ) -> pd.DataFrame:
        """Draw synthetic rows.

        Args:
            n_rows: How many, at least 0.
            conditions: What every row must meet, exactly and without rejection: ``{"sex": "F"}``, a list of categories,
                ``{"age": (">=", 65)}``, ``{"age": ("between", 18, 30)}``, ``{"bmi": None}`` (missing),
                ``{"bmi": ("not missing",)}``; or a DataFrame of ``n_rows`` partial rows, whose empty cells are drawn.
            random_state: Fixes these rows; ``None`` takes the next rows of the synthesizer's own seed.
            decode: Overrules the constructor's ``decode``.
            missing: ``False`` draws no missing cells.

        Returns:
            A DataFrame with the columns, order, dtypes, decimals and ranges of the table that was learnt.

        Raises:
            ConditionError: A category or column was never seen, or no row can meet the conditions.
            NotFittedError: ``fit`` was not called.
        """
        frames = list(self.sample_frames(n_rows, conditions, random_state=random_state, decode=decode, missing=missing))
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def sample_frames(
        self,
        n_rows: int,
        conditions: Mapping[Hashable, Any] | pd.DataFrame | None = None,
        *,
        random_state: int | None = None,
        decode: str | None = None,
        missing: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Draw the rows of :meth:`sample` in frames of flat size, for tables larger than memory."""
        self._need_fit()
        n_rows = check_row_count(n_rows)
        decode = self.decode if decode is None else decode
        check_decode(decode)
        if isinstance(conditions, pd.DataFrame):
            if len(conditions) != n_rows:
                raise ConditionError(
                    f"a DataFrame of conditions needs one row a synthetic row: expected {n_rows}, found {len(conditions)}"
                )
            completed = self._complete(
                conditions, "conditions", random_state=random_state, missing=missing, decode=decode
            )
            return iter([completed])
        if conditions is not None and not isinstance(conditions, Mapping):
            raise ConditionError(
                "conditions must be a dict of columns, such as {'sex': 'F'}, or a DataFrame of partial rows, "
                f"found {type(conditions).__name__}"
            )
        seed = self._call_seed(_SAMPLE, random_state)
        conditions = dict(conditions or {})
        frames = getattr(self._backend, "sample_frames", None)
        if frames is None:
            drawn = self._backend.sample(n_rows, seed=seed, conditions=conditions, decode=decode, missing=missing)
            return iter([drawn])
        return _reset(frames(n_rows, seed=seed, conditions=conditions, decode=decode, missing=missing))

    def sample_remaining(self, df: pd.DataFrame, *, random_state: int | None = None) -> pd.DataFrame:
        """Complete partial rows: known cells stay, empty cells and absent columns are drawn given them.

        The cells of absent columns are missing as often as in the table that was learnt; empty cells are always filled.

        Args:
            df: Some or all of the columns; an empty (missing) cell is drawn.
            random_state: Fixes the draws.

        Raises:
            ConditionError: A column is unknown, or cells hold values never seen in training.
        """
        return self._complete(df, "sample_remaining", random_state=random_state, missing=True, decode=self.decode)

    def _complete(
        self, df: pd.DataFrame, called: str, *, random_state: int | None, missing: bool, decode: str | None
    ) -> pd.DataFrame:
        self._need_fit()
        check_frame(df)
        seed = self._call_seed(_REMAINING, random_state)
        complete = ability(self._backend, "complete", called)
        return complete(df, seed=seed, missing=missing, decode=decode).set_axis(df.index, axis=0)

    def impute(
        self, df: pd.DataFrame, n: int = 1, *, random_state: int | None = None
    ) -> pd.DataFrame | list[pd.DataFrame]:
        """Fill missing cells with draws from the model, given the rest of the row; everything else is untouched.

        Args:
            df: A table with all columns of training.
            n: Completed tables to draw: more than 1 is multiple imputation (Rubin 1987).
            random_state: Fixes the draws.

        Returns:
            ``df`` filled, same index, columns and dtypes; a list of ``n`` of them where ``n > 1``.
        """
        self._need_fit()
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ConfigError(Problem("n", f"must be a positive integer, however: n={n!r}"))
        check_frame(df)
        impute = ability(self._backend, "impute")
        seed = self._call_seed(_IMPUTE, random_state)
        tables = [
            impute(df, seed=np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i))) for i in range(n)
        ]
        return tables[0] if n == 1 else tables

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
            column: A column of categories.
            strategy: ``"equal"`` brings every category up to the most frequent; a dict gives the share of each category.
                Those left out share what is left to 1, in the proportions they have; where nothing is left, they are not
                added to, and the shares are those among the named. No real row is ever dropped.
            df: The real rows; ``None`` takes the table that was learnt.
            random_state: Fixes the synthetic rows.

        Raises:
            ConditionError: The column is no column of categories, or a category was never seen.
            ConfigError: Shares that cannot be met, or only with more than a thousand times the real rows.
        """
        self._need_fit()
        real = self._df if df is None else df
        if real is None:
            raise ConfigError(Problem("df", "this generator was loaded without a table; give balance() the real rows"))
        check_frame(real)
        known = [c.name for c in self.metadata.columns if c.kind in ("categorical", "boolean", "ordinal")]
        if column not in known or column not in real.columns:
            raise ConditionError(
                Problem(f"column {column!r}", f"is not a column of categories{did_you_mean(column, known)}")
            )
        if "is_synthetic" in real.columns:
            raise DataError(Problem("column 'is_synthetic'", "is there already; rename it, the flag needs the name"))
        absent = [c.name for c in self.metadata.columns if c.modelled and c.name not in real.columns]
        if absent:
            text = "is a column that was learnt, but the rows lack it"
            raise ColumnsMismatchError([Problem(f"column {name!r}", text) for name in absent])
        seed = self._call_seed(_BALANCE, random_state)
        sample_frames = ability(self._backend, "sample_frames")
        parts: list[pd.DataFrame] = []
        n_drawn = 0
        for i, (category, n) in enumerate(rows_to_add(real[column], strategy, column).items()):
            if n:
                child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i))
                # Identifiers run on from one category to the next, after as many as there are real rows.
                first_id, conditions = len(real) + n_drawn, {column: category}
                parts += sample_frames(n, seed=child, conditions=conditions, decode=self.decode, first_id=first_id)
                n_drawn += n
        kept = [c for c in real.columns if not parts or c in parts[0].columns]
        every = [(real[kept], False), *((part[kept], True) for part in parts)]
        flagged = [part.assign(is_synthetic=flag) for part, flag in every]
        out = pd.concat(flagged, ignore_index=True)
        return out.astype({c: real[c].dtype for c in kept if out[c].dtype != real[c].dtype}, errors="ignore")

    # -- reading rows -------------------------------------------------------------------------------------------------

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the latent mean of every row: columns ``z0, z1, ...`` on ``df``'s index."""
        self._need_fit()
        check_frame(df)
        return ability(self._backend, "encode")(df)

    def reconstruct(self, df: pd.DataFrame, *, random_state: int | None = 0) -> pd.DataFrame:
        """Encode every row and decode its latent mean: what the latent space keeps of it."""
        self._need_fit()
        check_frame(df)
        check_seed(random_state)
        return ability(self._backend, "reconstruct")(df, seed=random_state)

    def anomaly_scores(self, df: pd.DataFrame, *, random_state: int = 0) -> pd.DataFrame:
        """Return how odd every row and every cell is.

        Returns:
            A DataFrame on ``df``'s index: ``score`` first (nats, higher is odder), then one column a table column: minus
            the log-likelihood of the cell given the rest of its row. ``score`` is their sum, minus the
            pseudo-log-likelihood (Besag 1975). A value never seen in n training rows counts log(n + 1).
        """
        self._need_fit()
        check_frame(df)
        check_seed(random_state)
        return ability(self._backend, "anomaly_scores")(df, seed=random_state)

    def sigmas(self) -> dict[Hashable, list[float]]:
        """Learned standard deviations of each continuous column (independent decoder, and SDV's)."""
        self._need_fit()
        return ability(self._backend, "sigmas")()

    def set_device(self, device: str) -> TVAESynthesizer:
        """Move the model to ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``."""
        ability(self._backend, "set_device")(device)
        return self

    # -- reports and pictures -----------------------------------------------------------------------------------------
    # The room of these, report/, lies above this one and is opened by name only when it is asked for.

    def report(self, real: pd.DataFrame | None = None, holdout: pd.DataFrame | None = None, **options: Any) -> Any:
        """Draw as many rows as were learnt, measure them, and lay the result out as a page.

        Args:
            real: The rows that were learnt; ``None`` means the table this object was given.
            holdout: Real rows that were never learnt; without them privacy and utility cannot be judged.
            **options: ``seed``, ``title``, ``min_count``, ``figures``; see ``clover_tvae.report.build_report``.

        Returns:
            A ``Report``: ``.save("report.html")``, ``.figures``, ``.to_json()``.
        """
        self._need_fit()
        return import_module("clover_tvae.report").report_on(self, self._table(real), holdout, **options)

    def plot_history(self) -> Any:
        """Draw the learning curves: a ``Chart``, as all plots here, that a notebook shows and ``save`` writes."""
        return import_module("clover_tvae.report").plot_history(self.history)

    def plot_marginals(
        self,
        real: pd.DataFrame | None = None,
        synthetic: pd.DataFrame | None = None,
        columns: Sequence[Hashable] | None = None,
    ) -> Any:
        """Plot every column, real beside synthetic, the worst first; rare categories are not named."""
        real, synthetic = self._real_and_synthetic(real, synthetic)
        plots = import_module("clover_tvae.report")
        return plots.plot_marginals(real, synthetic, columns, metadata=self.metadata)

    def plot_pairs(self, real: pd.DataFrame | None = None, synthetic: pd.DataFrame | None = None) -> Any:
        """Plot how strongly every two columns go together: real, synthetic and the difference."""
        real, synthetic = self._real_and_synthetic(real, synthetic)
        return import_module("clover_tvae.report").plot_pairs(real, synthetic, metadata=self.metadata)

    def plot_latent(self, real: pd.DataFrame | None = None, synthetic: pd.DataFrame | None = None) -> Any:
        """Plot real and synthetic rows in latent space as densities, coloured by the variable to predict."""
        real, synthetic = self._real_and_synthetic(real, synthetic)
        target = self.metadata.variable_to_predict
        is_number = target in self.metadata.of_kind("continuous", "datetime")
        labels = None if target is None or is_number else {"real": real[target], "synthetic": synthetic[target]}
        return import_module("clover_tvae.report").plot_latent(self.encode(real), self.encode(synthetic), labels)

    def _table(self, real: pd.DataFrame | None) -> pd.DataFrame:
        table = self._df if real is None else real
        if table is None:
            raise ConfigError(Problem("real", "this generator was loaded without a table; give the real rows"))
        return table

    def _real_and_synthetic(
        self, real: pd.DataFrame | None, synthetic: pd.DataFrame | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        self._need_fit()
        real = self._table(real)
        return real, self.sample(len(real), random_state=0) if synthetic is None else synthetic

    # -- the generator file -------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> str:
        """Write the generator file: plain data only, verified before it replaces an older one.

        Returns:
            The file's SHA-256, to be given to ``load(expected_sha256=...)`` elsewhere.
        """
        self._need_fit()
        self._digest = write_artifact(check_path(path, "path"), self._content())
        logger.info("generator written, sha256 %s", self._digest)
        return self._digest

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        self._need_fit()
        return dump_artifact(self._content())

    def _content(self) -> dict[str, Any]:
        parts = self._backend.state()
        content = {
            **parts,
            "metadata": self.metadata.to_dict(),
            "training": {"random_state": self.random_state, "n_columns": self._n_columns, "backend": parts["training"]},
            "privacy": None,
        }
        if self._writer:
            content["writer"] = self._writer
        return content

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        expected_sha256: str | None = None,
        trust_pickle: bool = False,
        device: str = "cpu",
        verbose: bool = False,
    ) -> TVAESynthesizer:
        """Open a generator file. Nothing in it is ever run, unless ``trust_pickle`` opens SDV's own pickle.

        Args:
            path: The file.
            expected_sha256: The digest that :meth:`save` returned; any other file is refused.
            trust_pickle: Needed by files of the ``sdv`` backend alone.
            device: Where to compute.
            verbose: Of a later ``fit``.

        Raises:
            ArtifactError: The file is corrupt, unsafe, newer than this version, or of another program.
        """
        synth = cls.__new__(cls)
        synth.random_state, synth.generator_filepath, synth.decode, synth.verbose = None, None, "sample", verbose
        synth._df, synth._metadata, synth._n_calls, synth._digest = None, None, 0, None
        synth._open(check_path(path, "path"), device=device, trust_pickle=trust_pickle, expected_sha256=expected_sha256)
        return synth

    def _open(self, path: Path, *, device: str, trust_pickle: bool, expected_sha256: str | None = None) -> None:
        content = read_artifact(path, expected_sha256=expected_sha256)
        training = _training_part(content)
        parts = {**content, "training": training["backend"]}
        self._backend = load_backend(parts, device=device, trust_pickle=trust_pickle)
        try:
            self._metadata = Metadata.of(content["metadata"])
        except MetadataError:
            raise _corrupt("metadata") from None
        learnt = getattr(self._backend, "kinds", None)
        # Columns that the metadata did not declare were left out.
        declared = {c.name: c.kind for c in self._metadata.columns}
        if learnt is not None and learnt != dict.fromkeys(learnt, "ignore") | declared:
            raise _corrupt("metadata")
        # A ledger that no stage has written must not be believed (promise P9).
        if content["privacy"] is not None:
            raise _corrupt("privacy")
        self._writer, self._digest, self._n_columns = content["writer"], content["sha256"], training["n_columns"]
        if self.random_state is None:
            self.random_state = training["random_state"]
        self._seed = _root(self.random_state)
        self._fitted, self._n_calls = True, 0

    def _agree_with_file(self, df: pd.DataFrame | None, metadata: Any) -> None:
        """What is given beside a generator that exists must describe the same table."""
        problems = []
        if metadata is not None and Metadata.of(metadata) != self.metadata:
            problems.append(
                Problem(
                    "metadata",
                    "differs from the generator's own; leave it out, or delete the generator to learn the table anew",
                    MetadataError,
                )
            )
        if df is not None:
            modelled = {c.name for c in self.metadata.columns if c.kind not in ("id", "ignore")}
            lacking = sorted(map(repr, modelled - set(df.columns)))
            if lacking:
                problems.append(
                    Problem("df", f"lacks columns that the generator learnt: {', '.join(lacking)}", DataError)
                )
        if problems:
            raise DataError.of(problems)

    def _warn_of_others(self, given: Mapping[str, Any]) -> None:
        """Warn of parameters that the generator file was not trained with: it is used as it is."""
        learnt = self._backend.parameters
        others = [
            name
            for name, value in given.items()
            if value is not None and name in learnt and _plain(value) != _plain(learnt[name])
        ]
        if others:
            cure = "" if self._df is None else "; delete it, or give another generator_filepath, to train anew"
            warnings.warn(
                f"the generator file is there and is used as it was trained, with other values of {', '.join(others)}{cure}",
                UserWarning,
                stacklevel=3,
            )

    # -- telling ------------------------------------------------------------------------------------------------------

    def card(self) -> dict[str, Any]:
        """Return what was learnt on what, as plain data: the model card."""
        self._need_fit()
        facts = getattr(self._backend, "facts", {})
        history = self._backend.history
        return {
            "package": "clover_tvae",
            "backend": self._backend.name,
            "writer": dict(self._writer) or writer_versions(),
            "sha256": self._digest,
            "random_state": self.random_state,
            "metadata": self.metadata.to_dict(),
            "rows": facts.get("rows"),
            "columns": self._n_columns,
            "parameters": dict(self._backend.parameters),
            "training": {**facts, "epochs": len(history), "last": history[-1] if history else None},
            "privacy": None,
        }

    def __repr__(self) -> str:
        kinds: dict[str, int] = {}
        for column in self._metadata.columns if self._metadata is not None else ():
            kinds[column.kind] = kinds.get(column.kind, 0) + 1
        columns = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        decoder = self._backend.parameters.get("decoder")
        head = f"TVAESynthesizer(backend={self._backend.name!r}" + (f", decoder={decoder!r}" if decoder else "")
        if not self._fitted:
            return f"{head}, not fitted; columns: {columns})"
        facts = getattr(self._backend, "facts", {})
        history = self._backend.history
        rows = f", learnt {facts['rows']:,} rows" if "rows" in facts else ""
        rows += f" in {facts['seconds']:.0f} s" if "seconds" in facts else ""
        return f"{head}{rows}, {len(history)} epochs; columns: {columns})"

    def _repr_html_(self) -> str:
        rows = [("state", "fitted" if self._fitted else "not fitted"), ("backend", self._backend.name)]
        rows += [(name, str(value)) for name, value in self._backend.parameters.items() if value is not None]
        if self._fitted:
            facts = getattr(self._backend, "facts", {})
            rows += [(name, str(value)) for name, value in facts.items()]
            history = self._backend.history
            if history:
                rows += [(f"last {name}", f"{history[-1][name]:.4g}") for name in ("loss", "validation_loss")]
            rows.append(("sha256", str(self._digest or "not saved yet")))
        body = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in rows)
        title = html.escape(repr(self))
        return f"<details open><summary>{title}</summary><table>{body}</table></details>"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list, np.ndarray)) else value


def _corrupt(part: str) -> Exception:
    from clover_tvae.errors import CorruptArtifactError

    return CorruptArtifactError(
        f"the file's {part} part is not valid: it was changed, or is no generator of clover_tvae"
    )


def _training_part(content: Mapping[str, Any]) -> dict[str, Any]:
    training = content["training"]
    if set(training) != {"random_state", "n_columns", "backend"}:
        raise _corrupt("training")
    seed, n_columns = training["random_state"], training["n_columns"]
    if not (seed is None or (type(seed) is int and seed >= 0)) or type(n_columns) is not int or n_columns < 0:
        raise _corrupt("training")
    if not isinstance(training["backend"], dict):
        raise _corrupt("training")
    return training


def _root(random_state: int | None) -> np.random.SeedSequence:
    return np.random.SeedSequence(random_state)


def _reset(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Give each frame the index that its rows have in the whole table."""
    start = 0
    for frame in frames:
        frame.index = pd.RangeIndex(start, start + len(frame))
        start += len(frame)
        yield frame
