"""Real kinds of job, whose leases are short enough for a test to see workers take over from killed ones."""

from dataclasses import replace

from django.apps import AppConfig

LEASE_SECONDS = 8.0


class Faults(AppConfig):
    name = "tests.end_to_end.faults"
    label = "faults"

    def ready(self):
        from jobs import kinds

        for kind in kinds.all_kinds():
            if kind.name.startswith("test."):
                # Short enough; and no shorter, since hearts wait for each other where four workers train on two cores.
                kinds._kinds[kind.name] = replace(kind, lease_seconds=LEASE_SECONDS)
            else:
                # Kills and expiries come thicker here than in years.
                kinds._kinds[kind.name] = replace(kind, lease_seconds=LEASE_SECONDS, max_attempts=50)
