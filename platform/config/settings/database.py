"""PostgreSQL with pgvector, by DATABASE_URL or from the embedded stack."""

from config.settings.environment import embedded_endpoints, env

DATABASES = {"default": env.db_url("DATABASE_URL", default=embedded_endpoints.database_url)}
# Apart from the address, so that it can come from a file (DATABASE_PASSWORD_FILE) and the address be seen.
_password: str = env.str("DATABASE_PASSWORD", default="")
if _password:
    DATABASES["default"]["PASSWORD"] = _password
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# For web processes, whose many threads need a connection for moments: so many are shared by a process's threads. 0:
# each thread has its own. No process may fork once it has used its pool, so workers have none.
_pool = env.int("DATABASE_POOL", default=0)
if _pool > 0:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": min(4, _pool), "max_size": _pool}
