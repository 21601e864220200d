"""How the web process is started."""

import os
import subprocess
import sys

from tests.servers import REPOSITORY


def option(expression, **environment):
    """The value of an expression over gunicorn's options, in a process of its own."""
    code = f"from config import gunicorn_options as options; from django.conf import settings; print({expression})"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


def test_no_mix_of_waiting_requests_and_event_streams_takes_every_thread():
    assert int(option("options.threads", WAITING_REQUESTS="5", API_EVENT_STREAMS="7")) > 5 + 7


def test_a_web_process_s_threads_share_some_connections():
    pool = "settings.DATABASES['default']['OPTIONS']['pool']['max_size']"
    assert option(pool) == "12"
    assert option(pool, DATABASE_POOL="3") == "3"
