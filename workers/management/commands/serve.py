"""`manage.py serve`: web, workers and beat together on one machine."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from filelock import FileLock, Timeout

from common import schema
from embedded import defaults, ports, stack
from embedded.errors import StackError
from jobs import selectors
from jobs.kinds import MODEL_QUEUES, QUEUES
from jobs.local import beat_command, model_pool, stop_seconds, worker_command
from training_app.base_models import request_default_models
from workers.serving import Part, PartKeepsEnding, Parts

_START_SECONDS = 120.0


class Command(BaseCommand):
    help = "Run the web server, the workers and beat together until Ctrl-C, and print the address and how to log in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, help="default 8000, or a free one where that is taken")
        parser.add_argument("--cpu-workers", type=int, default=2, help="processes for imports and scores (default 2)")
        parser.add_argument(
            "--model-workers", type=int, default=1, help="processes that answer, each of which holds the models "
            "(default 1; on a GPU one process answers and trains)",
        )  # fmt: skip
        parser.add_argument(
            "--training-workers", type=int, default=1, help="processes that train (default 1; none on a GPU)"
        )

    def handle(self, *args: Any, host: str, port: int | None, **options: Any) -> None:
        self._signals = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        lock = FileLock(settings.VAR_DIR / "serve.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise CommandError(f"serve already runs on the data in {settings.VAR_DIR}; stop that one first.") from error
        try:
            self._serve(host, self._choose_port(host, port), options)
        except StackError as error:
            raise CommandError(str(error)) from error
        finally:
            if os.environ.get(defaults.STARTED_HERE):
                self._say("Stopping the embedded servers, which were started for this ...")
                stack.down(settings.VAR_DIR)
            elif defaults.wanted():
                self._say("The embedded servers stay up, as they were before; `manage.py stack down` stops them.")
            lock.release()

    def _serve(self, host: str, port: int, options: dict[str, Any]) -> None:
        self._say("Preparing the database ...")
        schema.bring_up_to_date()
        request_default_models()
        login = self._login()
        grace = stop_seconds()
        parts = Parts(
            self._parts(host, port, options),
            folder=settings.BASE_DIR,
            log_folder=settings.VAR_DIR / "log",
            grace_seconds=grace,
        )
        self._say("Starting web, workers and beat ...")
        with parts:
            try:
                begun = time.monotonic()
                while not self._signals and not self._is_ready(host, port):
                    if time.monotonic() - begun > _START_SECONDS:
                        raise CommandError(f"Not ready after {_START_SECONDS:.0f} s; see {settings.VAR_DIR / 'log'}.")
                    parts.tend(say=self._say)
                    time.sleep(0.3)
                if not self._signals:
                    shown = f"[{host}]" if ":" in host else host
                    self._say(f"\nLamppost is at http://{shown}:{port}/\n{login}")
                    self._say(f"Logs are in {settings.VAR_DIR / 'log'}. Ctrl-C stops everything.\n")
                while not self._signals:
                    parts.tend(say=self._say)
                    time.sleep(0.3)
            except PartKeepsEnding as error:
                raise CommandError(str(error)) from error
            finally:
                self._say(f"Stopping; running jobs get up to {grace:.0f} s (Ctrl-C again: at once) ...")
                asked = self._signals
                parts.stop(hurry=lambda: self._signals > max(asked, 1))
        self._say("Stopped.")

    def _parts(self, host: str, port: int, options: dict[str, Any]) -> list[Part]:
        bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        name = f"serve-{os.getpid()}"
        return [
            Part(
                "web",
                [
                    *(sys.executable, "-m", "gunicorn"),
                    *("--config", "python:config.gunicorn_options", "--bind", bind),
                ],
            ),
            Part(
                "worker-cpu",
                worker_command(queues=["cpu"], concurrency=options["cpu_workers"], name=f"{name}-cpu"),
            ),
            *self._model_parts(name, options),
            Part("beat", beat_command()),
        ]

    def _model_parts(self, name: str, options: dict[str, Any]) -> list[Part]:
        pool = model_pool(settings.MODEL_DEVICE)
        if pool == "solo":
            # A GPU's memory holds the model once.
            both = worker_command(queues=MODEL_QUEUES, concurrency=1, pool=pool, name=f"{name}-model")
            return [Part("worker-model", both)]
        counts = {"model": options["model_workers"], "training": options["training_workers"]}
        return [
            Part(f"worker-{queue}", worker_command(queues=[queue], concurrency=count, name=f"{name}-{queue}"))
            for queue, count in counts.items()
        ]

    def _login(self) -> str:
        """How to log in; the first time, an administrator is made for it."""
        users = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)
        known = users.order_by("pk").first()
        if known is not None:
            name = known.get_username()
            return f"Log in as {name}. If the password is lost: python manage.py changepassword {name}"
        manager: Any = get_user_model()._default_manager
        taken = set(manager.filter(username__startswith="admin").values_list("username", flat=True))
        name = next(name for name in ("admin", *(f"admin{n}" for n in range(2, 100_000))) if name not in taken)
        password = secrets.token_urlsafe(12)
        manager.create_superuser(username=name, password=password)
        return (
            f"Log in as {name} with the password {password}\n"
            f"It is shown only now. To choose another: python manage.py changepassword {name}"
        )

    def _choose_port(self, host: str, port: int | None) -> int:
        if port is None:
            return ports.free_port(8000, host=host)
        if not ports.is_free(port, host=host):
            raise CommandError(f"Port {port} of {host} is taken or not allowed. Leave --port out to have a free one.")
        return port

    def _is_ready(self, host: str, port: int) -> bool:
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not listened on)
        connection = http.client.HTTPConnection(reached, port, timeout=5)
        try:
            connection.request("GET", "/admin/login/", headers={"Host": "localhost"})
            if connection.getresponse().status >= 500:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return not selectors.unserved_queues(QUEUES)

    def _note_signal(self, *_: Any) -> None:
        self._signals += 1

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
