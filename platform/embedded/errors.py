"""What can go wrong with the embedded servers, said so that the reader knows what to do next."""

from __future__ import annotations


class StackError(Exception):
    """An embedded server cannot be had. The message names the server, the reason and the remedy."""
