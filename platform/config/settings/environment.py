"""Where settings come from: the process environment first, then the servers that `manage.py stack up` recorded.

Every setting NAME can be given as NAME_FILE instead, the path of a file that holds it: so secrets stay out of the
environment, which whoever inspects a container can read.
"""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from embedded import stack

BASE_DIR = Path(__file__).resolve().parents[3]


class _NamedEnv(environ.Env):
    """Reads files, and says which variable cannot be read; a value is never quoted, since it may be a secret."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        try:
            if self.ENVIRON.get(f"{var}_FILE"):
                return self.parse_value(self._read(var), cast)
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            raise ImproperlyConfigured(
                f"{var} cannot be read: it must be {_KINDS.get(cast, 'of another form')}."
            ) from None

    def _read(self, var: str) -> str:
        """What the file holds that `var`_FILE names, without the line's end, and taken as it is: a "$" is a "$"."""
        if self.ENVIRON.get(var):
            raise ImproperlyConfigured(f"{var} and {var}_FILE are both set. Keep one of them.")
        path = Path(self.ENVIRON[f"{var}_FILE"])
        try:
            value = path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise ImproperlyConfigured(f"The file {path}, which {var}_FILE names, cannot be read: {said}.") from None
        if not value and var not in _MAY_BE_EMPTY:
            raise ImproperlyConfigured(f"The file {path}, which {var}_FILE names, is empty.")
        return value


_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}
# A list that has nothing in it is one, while an empty key or password is a mistake.
_MAY_BE_EMPTY = frozenset({"SECRET_KEY_FALLBACKS"})
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
