"""PostgreSQL with pgvector, by DATABASE_URL or from the embedded stack."""

from config.settings.environment import embedded_endpoints, env

DATABASES = {"default": env.db_url("DATABASE_URL", default=embedded_endpoints.database_url)}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
