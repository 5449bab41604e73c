"""What users import: the synthesizer as an estimator of scikit-learn, a sampler that balances classes, an imputer.

``TVAESynthesizer`` is ``clover_tvae.synthesizer.Synthesizer`` with scikit-learn's protocol, SDV's names and plots. The commands use
the plain one: importing ``sklearn.base`` takes a second.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from clover_tvae.columns.frames import read_frame, takes_frames
from clover_tvae.errors import CloverWarning, ConfigError, DataError, Problem, did_you_mean, warn
from clover_tvae.metadata import Column, Metadata
from clover_tvae.parameters import shown, whole_number
from clover_tvae.sdv_names import MethodsOfSDV, takes_names_of_sdv
from clover_tvae.seeds import Calls
from clover_tvae.synthesizer import Synthesizer

if TYPE_CHECKING:  # the report, which a second is gone for, is imported where it is asked for
    from clover_tvae.report import Report

__all__ = ["NOT_AS_SKLEARN", "TVAEImputer", "TVAESampler", "TVAESynthesizer"]

#: Checks of scikit-learn's ``check_estimator`` that ``TVAESynthesizer`` does not pass, and why: its ``expected_failed_checks``.
NOT_AS_SKLEARN = {
    "check_do_not_raise_errors_in_init_or_set_params": (
        "wrong parameters are told together, where they are written: a fit, which may begin hours later, is too late"
    ),
    "check_set_params": (
        "it allows a ValueError or TypeError alone for a value out of range; what is wrong with metadata is a MetadataError, which "
        "is neither: readers of files take a ValueError for a broken file"
    ),
}


class _TakesMixedTables(BaseEstimator):  # type: ignore[misc]
    """Tells scikit-learn that tables may hold text, categories and missing cells."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class TVAESynthesizer(Synthesizer, MethodsOfSDV, _TakesMixedTables):
    """Learns a table and draws synthetic rows from it.

    Args:
        df: The table to learn, of pandas, Polars, PyArrow, DuckDB or another library that narwhals knows: rows come back in its kind.
            Or the path of a Parquet file or folder, which may be larger than memory. ``None`` where
            ``generator_filepath`` exists, or where ``fit(df)`` is to be given the table, as scikit-learn has it.
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
        privacy: ``student``: what is kept learns from rows that a teacher wrote (default of tables below 10,000 people, and
            of larger ones whose generator could tell who was learnt); ``none``: it learns the table itself, and the
            generator file is as sensitive as the data. Autoregressive decoder only.
        backend: The engine: ``native`` (default), or ``sdv`` for SDV's own TVAE behind the same face.
        decoder: ``autoregressive`` (default, best), or ``independent``, the TVAE paper's; native backend only.
        embedding_dim: Dimensions of the latent space.
        learning_rate: Step size of the optimiser at its peak.
        weight_decay: Decay of the weight matrices: L2 for Adam, decoupled for Muon.
        loss_factor: Weight of the reconstruction against the KL term.
        gradient_clip: Largest norm of the gradient of a step.
        validation_fraction: Share of the rows held out of training to watch the ELBO.
        patience: Epochs without a better validation ELBO after which training stops.
        max_minutes: Minutes of training by the clock, teacher and student together; where this limit strikes, a seed no
            longer fixes the result.
        device: Where to compute: ``cpu`` (default), ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the best at hand.
        precision: Of matrix products: ``bfloat16`` (default of tables of at least 3,000 rows, and of the paper's decoder, where the
            processor has instructions for it: twice as fast), or ``float32`` (default elsewhere), which is the same on every
            machine up to rounding.
        decode: ``sample`` (default) draws independent rows; ``stratified`` draws rows whose shares are closer to the learnt
            ones than chance would have them; ``argmax`` takes the likeliest, as SDV does, and loses rare categories.
        min_count: Fewest people who must share a category, a frequent number, a bound or a relation's value for it to be
            learnt or stored: 5 unless given; 1 guards nobody.
        exact_values: Store numbers and dates as they are, extremes too, and not as means over ``min_count`` people.
        verbose: Show a progress bar, and say what was chosen.
        trust_pickle: Open a generator file of the ``sdv`` backend: it holds a pickle, which can run any code.
        discriminator_steps: Accepted with a warning and dropped: a VAE has no discriminator.
        enforce_min_max_values: SDV's own (``sdv`` backend): keep numbers in the range of the table; on by default.
        enforce_rounding: SDV's own (``sdv`` backend): keep the decimals of the table; on by default.
        expected_sha256: The digest that ``save`` returned; any other file at ``generator_filepath`` is refused.

    What is left out has the defaults that :class:`~clover_tvae.parameters.Parameters` tells. A second free core is used, a
    busy one does no harm, and neither changes the result.

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
        >>> TVAESynthesizer(metadata=metadata, epochs=2, verbose=False).fit(df).sample(3).shape  # as scikit-learn has it
        (3, 2)
    """

    __init__ = takes_names_of_sdv(Synthesizer.__init__)
    sample = takes_names_of_sdv(Synthesizer.sample)
    save = takes_names_of_sdv(Synthesizer.save)
    load: Any = classmethod(takes_names_of_sdv(vars(Synthesizer)["load"].__func__))

    @takes_names_of_sdv
    def fit(
        self, df: Any = None, y: Any = None, *, checkpoint: str | Path | None = None, resume: bool = False
    ) -> TVAESynthesizer:
        """Learn the table, as :meth:`Synthesizer.fit <clover_tvae.synthesizer.Synthesizer.fit>` does.

        Args:
            df: The table, also a 2-D array, whose columns are then called ``x0``, ``x1``, ...; ``None`` takes the one that the
                synthesizer was made with.
            y: Not learnt, as scikit-learn has it where nothing is predicted: a warning says so.
            checkpoint: A file that says where the training stands.
            resume: Go on from ``checkpoint``.

        Returns:
            The synthesizer itself.

        Raises:
            DataError: The table does not fit its metadata; every problem is named.
            ValueError: The array is no table; scikit-learn says why. ``TypeError``: it is sparse.
        """
        if y is not None:
            text = "y is not learnt: put what is to be predicted into the table, such as fit(X.assign(target=y))"
            warn(text, CloverWarning)
        super().fit(_as_frame(df), checkpoint=checkpoint, resume=resume)
        return self

    def reset_sampling(self) -> None:
        """Begin the synthesizer's own sequence of rows and identifiers anew: the next calls draw what the first ones drew."""
        self._calls = Calls()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the constructor was given, as scikit-learn asks for it; the table is not among it.

        ``sklearn.base.clone`` therefore makes a synthesizer of the same parameters that has learnt nothing, unless there is a
        generator at ``generator_filepath``.
        """
        return dict(self._given)

    def set_params(self, **given: Any) -> TVAESynthesizer:
        """Give other parameters than the constructor was given; what was learnt is let go.

        Raises:
            ConfigError: A parameter is out of range, or there is none of its name.
        """
        unknown = [name for name in given if name not in self._given]
        ConfigError.raise_any([Problem(name, f"is no parameter{did_you_mean(name, self._given)}") for name in unknown])
        held, kind = self._held, self._kind
        self.__init__(held.df, **{**self._given, **given})  # type: ignore[misc]
        self._held, self._kind = held, kind
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self.fitted

    @property
    def feature_names_in_(self) -> Any:
        """The names of the columns that were learnt."""
        return np.array([str(name) for name in self.metadata_.names], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """How many columns were learnt."""
        return len(self.metadata_.names)

    @property
    def metadata_(self) -> Metadata:
        """What each column is that was learnt."""
        if not self.fitted:
            raise AttributeError("there is none before fit()")
        return self.metadata

    @property
    def history_(self) -> pd.DataFrame:
        """``history``, by the name that scikit-learn gives to what was learnt."""
        if not self.fitted:
            raise AttributeError("there is none before fit()")
        return self.history

    @takes_frames
    def report(self, real: pd.DataFrame | None = None, holdout: pd.DataFrame | None = None, **options: Any) -> Report:
        """Draw as many rows as there are real ones, measure them, and lay the result out as a page.

        ``report(real, holdout)`` says most. ``report(holdout=rows)`` says whether the rows are like real ones, and useful; whom they
        could expose cannot be said without the rows that were learnt.

        Args:
            real: The rows that were learnt, which a fitted synthesizer does not keep. Where they are the only table, and by
                their number or columns, or by cells that the generator does not know, not those, they are taken for
                ``holdout``; fresh rows of the same number are not told apart.
            holdout: Real rows that were never learnt; without them privacy and utility cannot be judged.
            **options: ``seed``, ``title``, ``min_count``, ``figures``; see ``clover_tvae.report.build_report``.

        Returns:
            A ``Report``: a notebook shows its page; ``.save("report.html")``, ``.figures``, ``.to_json()``.
        """
        from clover_tvae.report import report_on

        if real is None and holdout is not None:
            return report_on(self, None, self._real(holdout, "holdout"), **options)
        return report_on(self, self._real(real), holdout, **options)

    def plot_history(self) -> Any:
        """Draw the learning curves: a ``Chart``, as all plots here, that a notebook shows and ``save`` writes."""
        from clover_tvae.report import plot_history

        return plot_history(self.history)

    @takes_frames
    def plot_marginals(
        self,
        real: pd.DataFrame | None = None,
        synthetic: pd.DataFrame | None = None,
        columns: Sequence[Hashable] | None = None,
    ) -> Any:
        """Plot every column, real beside synthetic, the worst first; rare categories are not named."""
        from clover_tvae.report import plot_marginals

        return plot_marginals(*self._pair(real, synthetic), columns, metadata=self.metadata)

    @takes_frames
    def plot_pairs(self, real: pd.DataFrame | None = None, synthetic: pd.DataFrame | None = None) -> Any:
        """Plot how strongly every two columns go together: real, synthetic and the difference."""
        from clover_tvae.report import plot_pairs

        return plot_pairs(*self._pair(real, synthetic), metadata=self.metadata)

    @takes_frames
    def plot_latent(self, real: pd.DataFrame | None = None, synthetic: pd.DataFrame | None = None) -> Any:
        """Plot real and synthetic rows in latent space as densities, coloured by the variable to predict."""
        from clover_tvae.report import plot_latent

        real, synthetic = self._pair(real, synthetic)
        target = self.metadata.variable_to_predict
        is_number = target in self.metadata.of_kind("continuous", "datetime")
        labels: Any = None if target is None or is_number else {"real": real[target], "synthetic": synthetic[target]}
        return plot_latent(self.encode(real), self.encode(synthetic), labels)

    def _pair(self, real: pd.DataFrame | None, synthetic: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        real = self._real(real)
        return real, self.sample(len(real), random_state=0) if synthetic is None else synthetic

    def _html_repr(self) -> str:  # scikit-learn hands it to notebooks
        from clover_tvae.report.representation import as_html

        made = self._generator
        sha256, privacy = (None, "") if made is None else (made.sha256, made.meaning)
        known: dict[str, Any] = {"fitted": self.fitted, "written": self._has_student}
        return as_html(self._backend, self.metadata, sha256=sha256, privacy=privacy, **known)


def _as_frame(X: Any, least: int = 2) -> Any:
    """Return a 2-D array as a table with scikit-learn's names of columns; a table, a path or nothing as it is."""
    is_array = hasattr(X, "__array__") and not hasattr(X, "columns")
    if not (is_array or isinstance(X, list) or hasattr(X, "toarray")):  # the last is sparse, which scikit-learn refuses
        return X
    array = check_array(X, dtype=None, ensure_all_finite=False, ensure_min_samples=least)
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])]).infer_objects()


class TVAESampler(_TakesMixedTables):
    """Adds synthetic rows of the rare classes: a sampler for imbalanced-learn's pipelines, built on ``balance``.

    The rows are learnt together with their class, and the real ones are kept, first, as they are. A class that fewer than
    ``min_count`` people share (5, unless the synthesizer says otherwise) is refused: its rows would be copies of those few people.

    Args:
        sampling_strategy: As imbalanced-learn has it: ``"auto"`` (also ``"not majority"`` and ``"all"``) brings every class up to the
            most frequent one, ``"minority"`` the rarest one only; a number above 0 and up to 1, where there are two classes, the rare
            one to this share of the other; a dict says how many rows each class is to have.
        random_state: A seed for learning and drawing; left out, it is the synthesizer's.
        synthesizer: What learns; it is cloned. ``None``: ``TVAESynthesizer(verbose=False)``. Its metadata, if any, must describe the
            column of the class, which has the name of ``y``, or ``"target"``.

    Attributes:
        synthesizer_: What learnt the rows.
        sampling_strategy_: How many rows were added to each class.

    Example:
        >>> import pandas as pd
        >>> X = pd.DataFrame({"age": [*range(20, 45)] * 2})
        >>> y = pd.Series(["ill"] * 10 + ["well"] * 40, name="state")
        >>> sampler = TVAESampler(random_state=1, synthesizer=TVAESynthesizer(epochs=2, verbose=False))
        >>> X_more, y_more = sampler.fit_resample(X, y)
        >>> y_more.value_counts().to_dict()
        {'ill': 40, 'well': 40}
    """

    _sampling_type = "over-sampling"  # by which imbalanced-learn knows what a sampler does

    def __init__(
        self, sampling_strategy: Any = "auto", random_state: int | None = None, synthesizer: Any = None
    ) -> None:
        self.sampling_strategy, self.random_state, self.synthesizer = sampling_strategy, random_state, synthesizer

    def fit(self, X: Any, y: Any) -> TVAESampler:
        """Check the table, its classes and what is asked for; :meth:`fit_resample` learns."""
        self._checked(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Learn the rows with their classes, and return them with the synthetic ones that were asked for.

        Args:
            X: The table, a DataFrame or an array, without the class.

        Returns:
            ``X`` and ``y`` of all rows, of the types that were given.

        Raises:
            ConditionError: Too few people share a class that is to be added to.
            ConfigError: There is no such ``sampling_strategy``, or it would drop real rows.
            DataError: The table cannot be learnt, or has a column that synthetic rows lack, such as an identifier.
        """
        frame, labels, wanted = self._checked(X, y)
        name, table = labels.name, pd.concat([frame, labels], axis=1)
        synth = _learner(self.synthesizer, self.random_state)
        if synth.get_params()["metadata"] is None:
            columns = (*Metadata.infer(frame).columns, Column(name, "categorical"))
            synth.set_params(metadata=Metadata(columns, name))
        described = Metadata.of(synth.get_params()["metadata"]).columns
        given_back = {column.name for column in described if column.modelled or column.regenerate is not None}
        if absent := [column for column in frame.columns if column not in given_back]:
            text = "synthetic rows lack it, as it is not learnt; drop it first"
            raise DataError([Problem(f"column {column!r}", text) for column in absent])
        self.synthesizer_ = synth.fit(table)
        every = synth.balance(name, wanted, df=table, random_state=self.random_state) if wanted else table
        classes = every[[name]] if isinstance(y, pd.DataFrame) else every[name]
        return _as_given(every[list(frame.columns)], X), _as_given(classes, y)

    def _checked(self, X: Any, y: Any) -> tuple[pd.DataFrame, pd.Series, dict[Any, int]]:
        """Return the table, the classes, and how many rows each class that is added to shall have."""
        frame, y = read_frame(_as_frame(X))[0], y.squeeze(axis="columns") if isinstance(y, pd.DataFrame) else y
        labels = y if isinstance(y, pd.Series) else pd.Series(column_or_1d(y))
        validate_data(self, X, skip_check_array=True)
        check_consistent_length(frame, labels)
        name = "target" if labels.name is None else labels.name
        if name in frame.columns:
            raise ConfigError("must have another name than the columns of X", "y")
        counts = labels.value_counts().to_dict()
        wanted = _wanted(self.sampling_strategy, counts)
        self.sampling_strategy_ = {category: n - counts.get(category, 0) for category, n in wanted.items()}
        labels = labels.reset_index(drop=True)
        labels.name = name
        return frame.reset_index(drop=True), labels, wanted


def _as_given(result: Any, given: Any) -> Any:
    """Return a table or column as a list or an array, where that was given."""
    if isinstance(given, list):
        return result.to_numpy().tolist()
    return result if hasattr(given, "columns") or isinstance(given, pd.Series) else result.to_numpy()


def _wanted(strategy: Any, counts: dict[Any, int]) -> dict[Any, int]:
    """Return how many rows each class that is added to shall have, as imbalanced-learn reads a ``sampling_strategy``."""
    if len(counts) < 2:
        raise ConfigError("must hold at least two classes, found one: there is nothing to balance", "y")
    most, rarest = max(counts.values()), min(counts, key=lambda category: counts[category])
    if isinstance(strategy, Mapping):
        wanted = {category: whole_number(n, "sampling_strategy", least=1) for category, n in strategy.items()}
    elif strategy in ("auto", "not majority", "all"):
        wanted = dict.fromkeys(counts, most)
    elif strategy == "minority":
        wanted = {rarest: most}
    elif isinstance(strategy, int | float) and 0 < strategy <= 1 and len(counts) == 2:
        wanted = {rarest: round(strategy * most)}
    else:
        text = (
            "must be 'auto', 'not majority', 'all', 'minority', a dict of rows of each class, or, of two classes, "
            f"a number above 0 and up to 1, found {shown('sampling_strategy', strategy)}"
        )
        raise ConfigError(text, "sampling_strategy")
    return {category: n for category, n in wanted.items() if n != counts.get(category)}


class TVAEImputer(TransformerMixin, _TakesMixedTables):  # type: ignore[misc]
    """Fills missing cells with draws from the model, given the rest of the row: an imputer for pipelines, built on ``impute``.

    Values that fewer than ``min_count`` people share (5, unless the synthesizer says otherwise) are not learnt, so that no cell is
    filled with one; a table of too few rows to learn is refused.

    Args:
        random_state: A seed for learning and filling; a fitted imputer fills the same table the same way every time.
        synthesizer: What learns; it is cloned. ``None``: ``TVAESynthesizer(verbose=False)``.

    Attributes:
        synthesizer_: What learnt the table.

    Example:
        >>> import pandas as pd
        >>> X = pd.DataFrame({"age": [*range(20, 40), None] * 5, "dose": [5, 10, 20] * 35})
        >>> imputer = TVAEImputer(random_state=1, synthesizer=TVAESynthesizer(epochs=2, verbose=False))
        >>> int(imputer.fit_transform(X).isna().sum().sum())
        0
    """

    def __init__(self, random_state: int | None = None, synthesizer: Any = None) -> None:
        self.random_state, self.synthesizer = random_state, synthesizer

    def fit(self, X: Any, y: Any = None) -> TVAEImputer:
        """Learn the table; ``y`` is not used."""
        frame = _as_frame(X)
        validate_data(self, X, skip_check_array=True)
        self.synthesizer_ = _learner(self.synthesizer, self.random_state).fit(frame)
        return self

    def transform(self, X: Any) -> Any:
        """Return ``X`` with its missing cells filled, of the type that was given.

        Raises:
            NotFittedError: ``fit`` was not called; it is scikit-learn's.
            DataError: The table is not like the one that was learnt.
        """
        check_is_fitted(self)
        frame = _as_frame(X, least=1)
        validate_data(self, X, skip_check_array=True, reset=False)
        filled: Any = self.synthesizer_.impute(frame, random_state=self.random_state or 0)
        return filled if hasattr(X, "columns") else filled.to_numpy()

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns, which are those that came in."""
        check_is_fitted(self)
        return _check_feature_names_in(self, input_features)


def _learner(given: TVAESynthesizer | None, random_state: int | None) -> TVAESynthesizer:
    synth = TVAESynthesizer(verbose=False) if given is None else clone(given)
    return synth if random_state is None else synth.set_params(random_state=random_state)
