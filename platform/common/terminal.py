"""What commands print to."""

import sys

from rich.console import Console

# Wide enough for a comparison table of Table 1's columns; a file or a pipe has no width of its own.
_WIDTH_OF_A_FILE = 160


def console() -> Console:
    """Standard output: as wide as the terminal, and of a fixed width where it is none, so that logs read the same."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE)
