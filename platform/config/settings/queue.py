"""The broker that carries the doorbell, and how jobs behave by default."""

from config.settings.environment import embedded_endpoints, env

BROKER_URL: str = env.str("BROKER_URL", default=embedded_endpoints.broker_url)

JOBS_SWEEP_SECONDS: float = env.float("JOBS_SWEEP_SECONDS", default=5.0)
JOBS_RETENTION_DAYS: int = env.int("JOBS_RETENTION_DAYS", default=30)
