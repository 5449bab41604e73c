"""``python -m clover_tvae`` is ``clover-tvae``."""

from __future__ import annotations

from clover_tvae.cli import main

if __name__ == "__main__":
    main()
