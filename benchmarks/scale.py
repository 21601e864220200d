"""What grows with the number of users, and what must not: retrieval for one user, claims of jobs, and who is due.

Everything runs on a PostgreSQL of the benchmark's own, as `make serve` starts it, with a database for each number of
users, in which each has 15 documents, their vectors and a profile (`benchmarks/population.py`).

- `retrieve_{dense,bm25}_{10000,100000}_users`: what a generation waits for until it has its documents: the profile, the
  documents' rows and the order of them, by an exact search among the user's vectors or by a BM25 index that is built
  anew, since nobody has asked for this user before. Users are drawn at random, each asks once, and the databases take
  turns. The ratio is the median with 1,000 users by that with so many: 0.67 (1.5 times as long) is the bound.
- `pages_read_{dense,bm25}_{10000,100000}_users`: how many pages of tables and indexes such a request reads, from memory
  or disk: what does not depend on what else the machine does. The ratio is that of 1,000 users by this.
- `claims_w{1,4,8}_of_100000`: claims a second of jobs that are claimed one by one, by so many worker processes. The
  ratio is that rate by the one with 1,000 jobs waiting: 1 where a long queue costs nothing.
- `claims_w{1,4,8}_in_batches`: the same in batches of 32, as generations are claimed; jobs a second, by those that were
  claimed one by one.
- `who_is_due_of_100000`: seconds until it is known who is due for retraining, from counters, against counting the
  entries of the profiles; 2 s is the bound.

Repeat with `python -m benchmarks scale`.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.being_due import who_is_due_figure
from benchmarks.databases import Databases, copy_of_empty, own_servers
from benchmarks.figures import Figure
from benchmarks.population import DIMENSION, DOCUMENTS, TASK, Query, make_query, populate

USERS = (1_000, 10_000, 100_000)
TURNS = 400
COMPARED = 20
COUNTED = 200
RETRIEVED = 4

WAITING = (1_000, 100_000)
WORKERS = (1, 4, 8)
CLAIMS = 60
ROUNDS = 5
ONE_BY_ONE = "embed_documents"
IN_BATCHES = "generate"


def run() -> list[Figure]:
    with own_servers():
        retrieval = _retrieval(USERS)
        return [*retrieval, *_claims(WAITING), who_is_due_figure(database=_name(USERS[-1]), users=USERS[-1])]


Retrieve = Callable[[int, Query], Any]
"""What is retrieved for a user by a query."""


class _Size(NamedTuple):
    """What the tables that retrieval reads take, in bytes."""

    tables: int
    indexes: int


def _name(users: int) -> str:
    return f"users_{users}"


def _retrieval(sizes: Sequence[int]) -> list[Figure]:
    names = {users: _name(users) for users in sizes}
    for name in names.values():
        copy_of_empty(name)
    databases = Databases(*names.values())
    stored: dict[int, _Size] = {}
    for users, name in names.items():
        databases.use(name)
        populate(users=users)
        stored[users] = _size()
    figures = []
    for retriever, retrieve in (("dense", _by_vectors), ("bm25", _by_words)):
        _assert_equal(databases, list(names.values()), retrieve)
        took = _in_turn(databases, names, retrieve)
        medians = {users: statistics.median(seconds) * 1000 for users, seconds in took.items()}
        first = sizes[0]
        figures += [
            Figure(
                name=f"retrieve_{retriever}_{users}_users",
                ratio=medians[first] / medians[users],
                median=medians[users],
                unit="ms",
                detail=(
                    f"p95 {_p95(took[users]):.2f} ms; of {first:,} users {medians[first]:.2f} ms, p95 "
                    f"{_p95(took[first]):.2f}; {users * DOCUMENTS:,} documents and vectors of {DIMENSION}, "
                    f"{stored[users].tables / 1e6:,.0f} MB and {stored[users].indexes / 1e6:,.0f} MB of indexes"
                ),
            )
            for users in sizes[1:]
        ]
        figures += pages_figures(databases, names, retriever, retrieve)
    databases.close()
    return figures


def pages_figures(databases: Databases, names: dict[int, str], retriever: str, retrieve: Retrieve) -> list[Figure]:
    """How many pages a request reads, on average over users at random."""
    pages = {users: _pages(databases, users, name, retrieve) for users, name in names.items()}
    first, *others = names
    return [
        Figure(
            name=f"pages_read_{retriever}_{users}_users",
            ratio=pages[first] / pages[users],
            median=pages[users],
            unit="pages",
            detail=f"a request, on average of {COUNTED}; of {first:,} users {pages[first]:.1f}",
        )
        for users in others
    ]


def _pages(databases: Databases, users: int, name: str, retrieve: Retrieve) -> float:
    databases.use(name)
    query = make_query(0)
    before = _pages_read_so_far()
    for user in random.Random(12).sample(range(1, users + 1), COUNTED):
        retrieve(user, query)
    return (_pages_read_so_far() - before) / COUNTED


def _pages_read_so_far() -> int:
    """In this database, by everybody, as far as this connection's own reading goes."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _in_turn(databases: Databases, names: dict[int, str], retrieve: Retrieve) -> dict[int, list[float]]:
    """Seconds of each request of users who ask once, by the number of users."""
    draw = random.Random(11)
    # Those that were compared have been asked for already.
    askers = {users: draw.sample(range(COMPARED + 1, users + 1), TURNS) for users in names}
    took: dict[int, list[float]] = {users: [] for users in names}
    for turn in range(TURNS):
        query = make_query(turn)
        for users, name in names.items():
            databases.use(name)
            began = time.perf_counter()
            retrieve(askers[users][turn], query)
            took[users].append(time.perf_counter() - began)
    return took


def _assert_equal(databases: Databases, names: Sequence[str], retrieve: Retrieve) -> None:
    """The first users are the same people everywhere; whoever else there is, the same is retrieved for them."""
    for user in range(1, COMPARED + 1):
        found = []
        for name in names:
            databases.use(name)
            retrieved = retrieve(user, make_query(user))
            assert len(retrieved) == RETRIEVED
            found.append([(one.position, one.score, one.document.fields["text"]) for one in retrieved])
        assert all(one == found[0] for one in found), f"user {user} is given other documents where there are more users"


def _by_vectors(user: int, query: Query) -> Any:
    from retrieval_app.models import Encoder
    from retrieval_app.retrievers import CONTRIEVER

    encoder = Encoder(pk=1, dimension=DIMENSION)
    return _retrieved(user, CONTRIEVER, query.text, encoder=encoder, query_vector=query.vector)


def _by_words(user: int, query: Query) -> Any:
    from retrieval_app.retrievers import BM25

    return _retrieved(user, BM25, query.text)


def _retrieved(user: int, retriever: str, query: str, **dense: Any) -> Any:
    """As a worker does, which has the generation's row with its user and workspace already."""
    from retrieval_app.services import retrieve
    from users_app.models import EndUser, Workspace
    from users_app.selectors import visible_documents

    workspace = Workspace(pk=1, slug="bench")
    whose: dict[str, Any] = {"workspace": workspace, "end_user": EndUser(pk=user, workspace=workspace), "task": TASK}
    return retrieve(
        **whose, documents=visible_documents(**whose), retriever=retriever, query=query, count=RETRIEVED, **dense
    )


def _p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1] * 1000


def _size() -> _Size:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT sum(pg_table_size(one)), sum(pg_indexes_size(one))
              FROM unnest(%s::regclass[]) AS one
        """,
            [["users_app_document", "users_app_profileentry", "retrieval_app_embedding"]],
        )
        tables, indexes = cursor.fetchone()
    return _Size(int(tables), int(indexes))


def _claims(waiting: Sequence[int]) -> list[Figure]:
    from benchmarks.claiming import Claimers

    names = {count: f"jobs_{count}" for count in waiting}
    for name in names.values():
        copy_of_empty(name)
    databases = Databases(*names.values())
    for count, name in names.items():
        databases.use(name)
        _enqueue(count)
    claimers = Claimers(list(names.values()), most=max(WORKERS))
    try:
        return [figure for workers in WORKERS for figure in _claims_by(databases, claimers, names, workers)]
    finally:
        claimers.close()
        databases.close()


def _enqueue(count: int) -> None:
    """So many jobs of both kinds, of three base models those that go in batches."""
    from django.db import connection

    from jobs.services import JobSpec, enqueue_many

    enqueue_many(JobSpec(kind=ONE_BY_ONE, payload={"end_user_ids": [number]}) for number in range(count))
    enqueue_many(
        JobSpec(kind=IN_BATCHES, payload={"generation_id": number, "batch": f"model {number % 3}"})
        for number in range(count)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) jobs_job")


def _claims_by(databases: Databases, claimers: Any, names: dict[int, str], workers: int) -> list[Figure]:
    few, many = names
    rates: dict[tuple[int, str], list[float]] = {}
    each: dict[tuple[int, str], list[float]] = {}
    asked = [(few, ONE_BY_ONE), (many, ONE_BY_ONE), (many, IN_BATCHES)]
    for turn in range(ROUNDS + 1):
        for which in asked:
            count, kind = which
            done = claimers.claim(workers=workers, database=names[count], kind=kind, claims=CLAIMS)
            if turn:
                rates.setdefault(which, []).append(done.jobs / done.seconds)
                each.setdefault(which, []).extend(done.each)
            databases.use(names[count])
            _give_back()
    one_by_one, in_batches = rates[many, ONE_BY_ONE], rates[many, IN_BATCHES]
    p50 = statistics.median(each[many, ONE_BY_ONE]) * 1000
    return [
        Figure(
            name=f"claims_w{workers}_of_{many}",
            ratio=statistics.median(a / b for a, b in zip(one_by_one, rates[few, ONE_BY_ONE], strict=True)),
            median=statistics.median(one_by_one),
            unit="claims/s",
            detail=(
                f"{workers} processes, one job a claim, p50 {p50:.1f} ms; {few:,} waiting: "
                f"{statistics.median(rates[few, ONE_BY_ONE]):,.0f} claims/s"
            ),
        ),
        Figure(
            name=f"claims_w{workers}_in_batches",
            ratio=statistics.median(a / b for a, b in zip(in_batches, one_by_one, strict=True)),
            median=statistics.median(in_batches),
            unit="jobs/s",
            detail=f"{workers} processes, {many:,} waiting; one job a claim: {statistics.median(one_by_one):,.0f}",
        ),
    ]


def _give_back() -> None:
    """All that was claimed waits again, and the dead rows are cleared as autovacuum does."""
    from django.db import connection

    from jobs.claims import give_back_all

    give_back_all()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) jobs_job")
