"""Every page of a workspace, over recorded scores of ten thousand users a task, against the same page over a hundred.

Two workspaces of one Lamppost have an experiment of seven tasks and thirteen columns each, loaded and not run
(`tests/eval_app/many_users.py`): one of 100 users a task, one of 10,000. A member of both asks over HTTP for each page
of the URL conf in turn, a small one and its large one, after each was asked for once.

- `page_NAME`: milliseconds of the large one (median); the ratio is the small one's by that, so 1 is a page that does
  not grow with users at all. A second for each is the bound.

Repeat with `python -m benchmarks pages`.
"""

import http.client
import json
import statistics
import time

from benchmarks.figures import Figure
from benchmarks.served import served

ROUNDS = 5
USERS = {"few": 100, "many": 10_000}
_PREPARE = """
import json
from django.contrib.auth import get_user_model
from django.test import Client
from tests.eval_app.many_users import experiment_of_many
from tests.routes import routes
from users_app.models import Workspace
user = get_user_model().objects.create_superuser("reader")
client = Client()
client.force_login(user)
pages = {}
for name, users in %r.items():
    workspace = Workspace.objects.create(slug=name, name=name)
    experiment_of_many(workspace, users=users, name=name)
    for route in routes(("w/",)):
        address, exists = route.address(workspace)
        if exists and "GET" in route.methods():
            pages.setdefault(str(route), {})[name] = address
print(json.dumps({"cookie": client.cookies["sessionid"].value, "pages": pages}))
"""


def run() -> list[Figure]:
    with served(DEFAULT_BASE_MODEL="small", MODEL_DEVICE="cpu", MODEL_THREADS="1") as lamppost:
        prepared = json.loads(lamppost.shell(_PREPARE % USERS).splitlines()[-1])
        connection = http.client.HTTPConnection("127.0.0.1", lamppost.port, timeout=120)
        return [
            _page(connection, prepared["cookie"], name, addresses)
            for name, addresses in prepared["pages"].items()
            if len(addresses) == len(USERS)
        ]


def _page(connection: http.client.HTTPConnection, cookie: str, name: str, addresses: dict[str, str]) -> Figure:
    took: dict[str, list[float]] = {which: [] for which in addresses}
    for turn in range(ROUNDS + 1):
        for which, address in addresses.items():
            began = time.perf_counter()
            connection.request("GET", address, headers={"Cookie": f"sessionid={cookie}"})
            answer = connection.getresponse()
            answer.read()
            seconds = time.perf_counter() - began
            assert answer.status in (200, 204, 302), f"{address}: {answer.status}"
            if turn:
                took[which].append(seconds)
    few, many = (statistics.median(took[which]) * 1000 for which in ("few", "many"))
    return Figure(
        name="page_" + name.removeprefix("/w/<slug:workspace>/").replace("<id:", "<").strip("/"),
        ratio=few / many,
        median=many,
        unit="ms",
        detail=f"of a hundred users {few:.0f} ms; the slowest of {ROUNDS} {max(took['many']) * 1000:.0f} ms",
    )
