"""A small T5, a small encoder and two small selectors, trained on synthetic users, and the recipe that rebuilds them
(`python -m workers.small_models`).

Importing this package imports no torch; the recipe's modules do.
"""

from pathlib import Path

SMALL_T5 = Path(__file__).parent / "t5"
SMALL_ENCODER = Path(__file__).parent / "encoder"
SMALL_SELECTOR_PRE = Path(__file__).parent / "selector_pre"
SMALL_SELECTOR_POST = Path(__file__).parent / "selector_post"
