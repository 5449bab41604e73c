"""Clover's ``TVAEGenerator``: the same names, the same order of arguments, the same life cycle, the same file names.

This module knows how Clover's searches call a generator (``Generator(df=..., metadata=..., **hyperparameters)``,
``preprocess()``, ``fit(save_path=...)``, ``sample(save_path=..., num_samples=len(df))``) and hands all work to
:class:`~clover_tvae.synthesizer.TVAESynthesizer`.

What is different from Clover's own class, on purpose:

- the generator file is no pickle of objects: it opens without running code (``backend="sdv"`` is the exception);
- ``random_state`` is heeded: it fixes the fit and the rows, and the global generators are left alone;
- ``display()`` returns its text instead of printing it: a notebook shows it, a script prints it;
- an odd ``batch_size`` is taken as it is;
- cells of text that a spreadsheet would run as a formula are written escaped.

References:
    Clover, Synthetic Health Data Generation and Validation Library, CRCHUM: https://crchum-citadel.github.io/clover/
"""

from __future__ import annotations

import datetime
import html
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clover_tvae.columns.frames import FrameKind, read_frame, same_kind
from clover_tvae.errors import ConfigError
from clover_tvae.files import check_path
from clover_tvae.metadata import Metadata
from clover_tvae.synthesizer import TVAESynthesizer
from clover_tvae.tables import write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Summary", "TVAEGenerator"]

logger = logging.getLogger(__name__)

#: Clover's own sizes.
_SIZES: dict[str, Any] = {"epochs": 300, "batch_size": 100, "compress_dims": (249, 249), "decompress_dims": (249, 249)}


class Summary(str):
    """Text that notebooks and consoles show as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self)}</pre>"


class TVAEGenerator:
    """Clover's generator of tables with a TVAE, around :class:`~clover_tvae.synthesizer.TVAESynthesizer`.

    The positional arguments, their order and their defaults are Clover's; what follows by keyword is ours.

    Args:
        df: The real table. ``None`` only with an existing ``generator_filepath``.
        metadata: Clover's dict, or all that the synthesizer takes. ``None`` only with ``df`` ``None``.
        random_state: Fixes fit and sample; at least 0.
        generator_filepath: A generator to sample from, if it exists; otherwise ``fit`` writes it there as well.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows a step, at least 1.
        compress_dims: Widths of the encoder's hidden layers.
        decompress_dims: Widths of the decoder's hidden layers.
        backend: ``"native"``, or ``"sdv"`` for the engine that Clover wraps.
        decoder: ``"independent"``, the TVAE that Clover describes (the native backend's default here), or
            ``"autoregressive"``.
        verbose: Show a progress bar while fitting.
        **parameters: Anything else that the synthesizer takes by keyword, such as ``trust_pickle``; also the
            ``discriminator_steps`` of Clover's documentation, which is dropped with a warning.

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

    def __init__(
        self,
        df: pd.DataFrame | None,
        metadata: Metadata | Mapping[str, Any] | str | Path | None,
        random_state: int | None = None,
        generator_filepath: str | Path | None = None,
        epochs: int = _SIZES["epochs"],
        batch_size: int = _SIZES["batch_size"],
        compress_dims: tuple[int, ...] = _SIZES["compress_dims"],
        decompress_dims: tuple[int, ...] = _SIZES["decompress_dims"],
        *,
        backend: str = "native",
        decoder: str | None = None,
        verbose: bool = False,
        **parameters: Any,
    ) -> None:
        sizes: list[Any] = [epochs, batch_size, compress_dims, decompress_dims]
        if generator_filepath is not None and check_path(generator_filepath, "generator_filepath").exists():
            # Clover's defaults are not wishes of the caller: a generator that is there has its own values.
            sizes = [None if value is default else value for value, default in zip(sizes, _SIZES.values(), strict=True)]
        elif decoder is None and backend == "native":
            decoder = "independent"
        parameters |= {"backend": backend, "decoder": decoder, "verbose": verbose}
        self._df, kind = read_frame(df)
        self.frame_kind = kind or FrameKind()
        self._synthesizer = TVAESynthesizer(self._df, metadata, random_state, generator_filepath, *sizes, **parameters)

    @property
    def synthesizer(self) -> TVAESynthesizer:
        """The synthesizer that does the work, for all that Clover's face does not offer."""
        return self._synthesizer

    def preprocess(self) -> None:
        """Check the table against its metadata, before any time is spent on training.

        Raises:
            UserError: With every problem of the table and its metadata.
        """
        if self._df is not None:
            self._synthesizer.metadata.validate(self._df)

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
            save_path: An existing folder.
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
