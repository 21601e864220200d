"""How gunicorn serves the web, in `serve` and in containers: `gunicorn --config python:config.gunicorn_options`."""

import os
import signal
from types import FrameType
from typing import Any

# The connections that a process's threads share. Before the settings are imported, which read it then and go with this
# process to those that it forks.
os.environ.setdefault("DATABASE_POOL", "12")

from config.settings.api import API_EVENT_STREAMS
from config.settings.environment import env
from config.settings.generations import WAITING_REQUESTS

# Of each process, beside those that wait for answers and those that send events.
_BUSY_THREADS = 8

wsgi_app = "config.wsgi:application"
bind: str = env.str("WEB_BIND", default="127.0.0.1:8000")
workers: int = env.int("WEB_PROCESSES", default=2)
worker_class = "gthread"
# Of one process: whatever mix of waiting requests and event streams is open, some are left for others.
threads = WAITING_REQUESTS + API_EVENT_STREAMS + _BUSY_THREADS

keepalive = 30
graceful_timeout = 10
# It would be a file in the home folder, which may be read-only.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Tell those who wait that the process is to stop, so that they answer before gunicorn drops them."""
    # Here and not above: the arbiter reads this module before there is an application.
    from common import stopping

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.tell()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)


logger_class = "common.logs.gunicorn.QuietLogger"
