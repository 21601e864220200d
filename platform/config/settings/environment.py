"""Where settings come from: the process environment first, then the servers that `manage.py stack up` recorded."""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from embedded import stack

BASE_DIR = Path(__file__).resolve().parents[3]


class _NamedEnv(environ.Env):
    """Says which variable cannot be read; its value is not quoted, since it may be a secret."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        try:
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            raise ImproperlyConfigured(
                f"{var} cannot be read: it must be {_KINDS.get(cast, 'of another form')}."
            ) from None


_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}
env = _NamedEnv()

VAR_DIR = Path(env.str("LAMPPOST_VAR", default=str(BASE_DIR / "var")))

# What stands in for a server nobody named: port 9 (discard) refuses at once, and the name says what to do.
_NOWHERE = stack.Endpoints(
    database_url="postgres://run-manage.py-stack-up:@127.0.0.1:9/lamppost",
    broker_url="redis://127.0.0.1:9/0",
    s3_endpoint="http://127.0.0.1:9",
    s3_access_key="",
    s3_secret_key="",
)

embedded_endpoints: stack.Endpoints = stack.recorded(VAR_DIR) or _NOWHERE
