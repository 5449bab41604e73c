"""Clover's ``TVAEGenerator``: the same names, the same order of arguments, the same life cycle, the same file names.

This module knows how Clover's searches call a generator (``Generator(df=..., metadata=..., **hyperparameters)``,
``preprocess()``, ``fit(save_path=...)``, ``sample(save_path=..., num_samples=len(df))``) and hands all work to
:class:`~clover_tvae.estimators.TVAESynthesizer`.

What is different from Clover's own class, on purpose:

- the generator file is no pickle of objects: it opens without running code (``backend="sdv"`` is the exception);
- ``random_state`` is heeded: it fixes the fit and the rows, and the global generators are left alone;
- ``display()`` returns its text instead of printing it: a notebook shows it, a script prints it;
- an odd ``batch_size`` is taken as it is;
- there is no differential privacy yet: an ``epsilon`` is refused, never ignored;
- cells of text that a spreadsheet would run as a formula are written escaped.

References:
    Clover, Synthetic Health Data Generation and Validation Library, CRCHUM: https://crchum-citadel.github.io/clover/
"""

from __future__ import annotations

import datetime
import html
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from clover_tvae.columns.frames import FrameKind, read_frame, same_kind
from clover_tvae.errors import CloverWarning, ConfigError, warn
from clover_tvae.estimators import TVAESynthesizer
from clover_tvae.files import check_path
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import whole_number
from clover_tvae.tables import write_table

__all__ = ["Summary", "TVAEGenerator"]

logger = logging.getLogger(__name__)

_Call = TypeVar("_Call", bound=Callable[..., Any])

#: What stands after ``batch_size`` in the older of Clover's two orders; in today's it is ``max_physical_batch_size``.
_OLDER = ("compress_dims", "decompress_dims", "discriminator_steps")
_AFTER_BATCH_SIZE = 6
#: Clover's own sizes.
_SIZES: dict[str, Any] = {"epochs": 300, "batch_size": 100, "compress_dims": (249, 249), "decompress_dims": (249, 249)}


class Summary(str):
    """Text that notebooks and consoles show as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self)}</pre>"


def _in_either_order(init: _Call) -> _Call:
    """Let a constructor in Clover's order of today be called in the older one, too.

    What stands after ``batch_size`` tells them apart: a number is today's ``max_physical_batch_size``, widths are the older order's
    ``compress_dims``. Anything else is refused, so that no argument ever takes the place of another.
    """

    @wraps(init)
    def called(self: Any, *args: Any, **given: Any) -> None:
        if len(args) > _AFTER_BATCH_SIZE and not isinstance(args[_AFTER_BATCH_SIZE], Integral):
            rest = args[_AFTER_BATCH_SIZE:]
            is_older = isinstance(rest[0], Sequence) and not isinstance(rest[0], str) and len(rest) <= len(_OLDER)
            if not is_older or any(name in given for name in _OLDER[: len(rest)]):
                text = (
                    "must be a number (max_physical_batch_size, Clover's order of today) or widths (compress_dims, the older one, with "
                    f"decompress_dims and discriminator_steps), found {type(rest[0]).__name__}, or an argument given twice; "
                    "give all after batch_size by keyword"
                )
                raise ConfigError(text, "argument 7")
            args, given = args[:_AFTER_BATCH_SIZE], {**dict(zip(_OLDER, rest, strict=False)), **given}
        init(self, *args, **given)

    called.__signature__ = inspect.signature(init)  # type: ignore[attr-defined]  # which Clover's own tests and searches read
    return cast(_Call, called)


class TVAEGenerator:
    """Clover's generator of tables with a TVAE, around :class:`~clover_tvae.estimators.TVAESynthesizer`.

    The positional arguments, their order and their defaults are those of Clover today; the older order, which has ``compress_dims``
    after ``batch_size``, is known by its widths. What follows by keyword is ours.

    Args:
        df: The real table. ``None`` only with an existing ``generator_filepath``.
        metadata: Clover's dict, or all that the synthesizer takes. ``None`` only with ``df`` ``None``.
        random_state: Fixes fit and sample; at least 0.
        generator_filepath: A generator to sample from, if it exists; otherwise ``fit`` writes it there as well.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows a step, at least 1.
        max_physical_batch_size: Of no effect, as in Clover without differential privacy.
        compress_dims: Widths of the encoder's hidden layers.
        decompress_dims: Widths of the decoder's hidden layers.
        epsilon: ``None``: there is no differential privacy yet, and a budget is refused.
        delta: ``None``, as ``epsilon``.
        max_grad_norm: Of no effect, as in Clover without ``epsilon``.
        preprocess_metadata: Of no effect, as in Clover without ``epsilon``; a warning says so.
        backend: ``"native"``, or ``"sdv"`` for the engine that Clover wraps.
        decoder: ``"independent"``, the TVAE that Clover describes (the native backend's default here), or
            ``"autoregressive"``.
        verbose: Show a progress bar while fitting.
        **parameters: Anything else that the synthesizer takes by keyword, such as ``trust_pickle``; also the
            ``discriminator_steps`` of Clover's documentation, which is dropped with a warning.

    Raises:
        ConfigError: ``epsilon`` or ``delta`` is not ``None``, or a positional argument could be one of two.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> df = pd.DataFrame({"age": list(range(20, 70)), "sex": ["F", "M"] * 25})
        >>> generator = TVAEGenerator(df, {"continuous": ["age"], "categorical": ["sex"]}, random_state=1, epochs=1)
        >>> generator.preprocess()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     generator.fit(save_path=folder)
        ...     generator.sample(save_path=folder, num_samples=3).shape
        (3, 2)
    """

    name = "TVAE"

    @_in_either_order
    def __init__(
        self,
        df: pd.DataFrame | None,
        metadata: Metadata | Mapping[str, Any] | str | Path | None,
        random_state: int | None = None,
        generator_filepath: str | Path | None = None,
        epochs: int = _SIZES["epochs"],
        batch_size: int = _SIZES["batch_size"],
        max_physical_batch_size: int | None = 125,
        compress_dims: tuple[int, ...] = _SIZES["compress_dims"],
        decompress_dims: tuple[int, ...] = _SIZES["decompress_dims"],
        epsilon: None = None,
        delta: None = None,
        max_grad_norm: float | None = 1.0,
        preprocess_metadata: Mapping[str, Any] | None = None,
        *,
        backend: str = "native",
        decoder: str | None = None,
        verbose: bool = False,
        **parameters: Any,
    ) -> None:
        for name, budget in (("epsilon", epsilon), ("delta", delta)):
            if budget is not None:
                text = (
                    "must be None: there is no differential privacy here yet, and a budget that nothing keeps would be a false promise; "
                    "decoder='autoregressive' with privacy='student' keeps rows of people from the networks, without a proof"
                )
                raise ConfigError(text, name)
        if max_physical_batch_size is not None:
            whole_number(max_physical_batch_size, "max_physical_batch_size", least=1)
        if preprocess_metadata is not None:
            warn("preprocess_metadata is dropped: it is of use with epsilon only", CloverWarning)
        sizes: list[Any] = [epochs, batch_size, compress_dims, decompress_dims]
        if generator_filepath is not None and check_path(generator_filepath, "generator_filepath").exists():
            # Clover's defaults are not wishes of the caller: a generator that is there has its own values.
            sizes = [None if value is default else value for value, default in zip(sizes, _SIZES.values(), strict=True)]
        elif decoder is None and backend == "native":
            decoder = "independent"
        parameters |= {"backend": backend, "decoder": decoder, "verbose": verbose}
        table, kind = read_frame(df)
        self.frame_kind = kind or FrameKind()
        self._synthesizer = TVAESynthesizer(table, metadata, random_state, generator_filepath, *sizes, **parameters)

    @property
    def synthesizer(self) -> TVAESynthesizer:
        """The synthesizer that does the work, for all that Clover's face does not offer."""
        return self._synthesizer

    def preprocess(self) -> None:
        """Check the table against its metadata, before any time is spent on training.

        Raises:
            UserError: With every problem of the table and its metadata.
        """
        if (table := self._synthesizer.table) is not None:
            self._synthesizer.metadata.validate(table)

    def fit(self, save_path: str | Path) -> None:
        """Train the generator and save it as ``<date>_TVAE.pkl``, the date written as 2026-03-31.

        Args:
            save_path: An existing folder.

        Raises:
            ConfigError: ``save_path`` is no folder.
            UserError: The table, its metadata or a parameter is wrong.
            TrainingError: Training failed.
        """
        path = _folder(save_path) / f"{_today()}_{self.name}.pkl"
        self._synthesizer.fit()
        digest = self._synthesizer.save(path)
        logger.info("generator saved as %s, sha256 %s", path, digest)

    def display(self) -> Summary:
        """Return what the generator is: parameters, and what it learnt on what.

        A notebook shows the result; a script does ``print(generator.display())``. It is logged at level INFO too.
        """
        card = self._synthesizer.card() if self._synthesizer.fitted else {}
        lines = [f"{self.name} generator: {self._synthesizer!r}"]
        lines += [f"  {name}: {value}" for name, value in dict(card.get("parameters") or {}).items()]
        summary = Summary("\n".join(lines))
        logger.info("%s", summary)
        return summary

    @same_kind
    def sample(self, save_path: str | Path, num_samples: int = 1) -> pd.DataFrame:
        """Draw rows and write them to ``<date>_TVAE_<num_samples>samples.csv``.

        Args:
            num_samples: How many rows (not how many tables), at least 0.

        Returns:
            The rows.

        Raises:
            ConfigError: ``save_path`` is no folder.
            NotFittedError: There is no trained generator.
        """
        folder = _folder(save_path)
        samples = self._synthesizer.sample(num_samples)
        write_table(samples, folder / f"{_today()}_{self.name}_{num_samples}samples.csv")
        return samples

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._synthesizer!r})"


def _today() -> str:
    return datetime.date.today().isoformat()


def _folder(save_path: str | Path) -> Path:
    folder = Path(save_path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ConfigError(f"must be an existing folder, found {found} there; create the folder first", "save_path")
    return folder
