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
            if not kind.name.startswith("test."):
                # Kills and expiries come thicker here than in years.
                kinds._kinds[kind.name] = replace(kind, lease_seconds=LEASE_SECONDS, max_attempts=50)
