"""Webhooks: where they may go, how long they are tried and kept."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# They go to global addresses alone, and to these networks (a comma between two), where http will do as well.
_networks: list[str] = env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
try:
    WEBHOOK_ALLOWED_NETWORKS: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(text) for text in _networks)
except ValueError:
    raise ImproperlyConfigured(
        "WEBHOOK_ALLOWED_NETWORKS cannot be read: it must be networks such as 10.20.0.0/16, with a comma between two."
    ) from None
# Whether http will do for global addresses, too: whoever listens on the way then reads what is sent.
WEBHOOK_ALLOW_HTTP: bool = env.bool("WEBHOOK_ALLOW_HTTP", default=False)
# How many a workspace may have.
WEBHOOKS_OF_A_WORKSPACE: int = env.int("WEBHOOKS_OF_A_WORKSPACE", default=20)
# After a rotation the old secret signs beside the new one for so long.
WEBHOOK_ROTATION_HOURS: float = env.float("WEBHOOK_ROTATION_HOURS", default=24.0)
# One that has answered nothing but failures for so long is disabled.
WEBHOOK_FAILING_DAYS: float = env.float("WEBHOOK_FAILING_DAYS", default=5.0)
# So is one for which so many deliveries wait.
WEBHOOK_BACKLOG: int = env.int("WEBHOOK_BACKLOG", default=100_000)
# Deliveries that have ended are deleted after so many days.
WEBHOOK_RETENTION_DAYS: float = env.float("WEBHOOK_RETENTION_DAYS", default=7.0)

if WEBHOOKS_OF_A_WORKSPACE < 1 or WEBHOOK_BACKLOG < 1:
    raise ImproperlyConfigured("WEBHOOKS_OF_A_WORKSPACE and WEBHOOK_BACKLOG must be 1 or more.")
if not 0 <= WEBHOOK_ROTATION_HOURS <= 24 * 365:
    raise ImproperlyConfigured(f"WEBHOOK_ROTATION_HOURS must be between 0 and 8,760, not {WEBHOOK_ROTATION_HOURS}.")
for _name in ("WEBHOOK_FAILING_DAYS", "WEBHOOK_RETENTION_DAYS"):
    if not 0 < globals()[_name] <= 3_650:
        raise ImproperlyConfigured(f"{_name} must be positive and 3,650 at most, not {globals()[_name]}.")
