"""Gunicorn's own lines, in the form of ours, and without the addresses and request lines that it quotes."""

import os
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from common.logs.formats import CONSOLE, formatter


class QuietLogger(Logger):
    """Gunicorn's `logger_class`. It begins before there are Django's settings, so it reads LOG_FORMAT itself."""

    def setup(self, cfg: Config) -> None:
        """As gunicorn does, with our formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter(os.environ.get("LOG_FORMAT", CONSOLE)))

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """The message without what it quotes; the formatter says what may be kept of the exception."""
        text = msg if isinstance(msg, str) else "An exception"
        super().exception(text, *("…" for _ in args), **kwargs)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Requests that cannot be read are quoted in the message: that there was one is enough."""
        text = str(msg)
        quotes = text.startswith("Invalid request")
        super().warning("Invalid request" if quotes else text, *(() if quotes else args), **kwargs)
