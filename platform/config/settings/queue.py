"""The broker that carries the doorbell, and how jobs behave by default."""

from urllib.parse import quote, urlsplit

from config.settings.environment import embedded_endpoints, env


def _with_password(url: str, password: str) -> str:
    """`url` with the password in it, in place of one that it may have."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}").geturl()


BROKER_URL: str = env.str("BROKER_URL", default=embedded_endpoints.broker_url)
# Apart from the address, so that it can come from a file (BROKER_PASSWORD_FILE).
_password: str = env.str("BROKER_PASSWORD", default="")
if _password:
    BROKER_URL = _with_password(BROKER_URL, _password)

JOBS_SWEEP_SECONDS: float = env.float("JOBS_SWEEP_SECONDS", default=5.0)
JOBS_RETENTION_DAYS: int = env.int("JOBS_RETENTION_DAYS", default=30)
