"""Makes the tests' kinds known to worker processes that a test starts (see `worker_settings`)."""

from django.apps import AppConfig


class JobsInTests(AppConfig):
    name = "tests.jobs"
    label = "jobs_in_tests"

    def ready(self):
        from tests.jobs import handlers

        handlers.register_kinds()
