"""`POST /generations` over HTTP, against the bare engine that is given the same rows in process.

Users of the synthetic LaMP-7 keep their tweets in a Lamppost of the benchmark's own (`manage.py serve`, with its web
processes, one model worker and its servers on the same machine), have an adapter trained each, and ask for one
paraphrase again and again: adapter and BM25 retrieval, 4 beams, `Prefer: wait`. With 1, 8 and 32 clients at a time,
each a user with a connection of its own, every client asks its next question when the last is answered.

The engine is given the very prompts that the answers had and the same adapters, downloaded; as many rows a batch as
there are clients, which is the best that batching over HTTP can come to. Everything is loaded before the clock runs,
both sides have one thread for the model, they run in turn, and equal texts are asserted. No request may fail.

- `rest_throughput_cN_vs_engine`: answers a second over HTTP by the engine's; 0.7 with 32 clients is the bound.
- `rest_added_ms`: what one client waits (median) beyond the engine's own time for its one row; 15 is the aim. Its ratio
  is the engine's time by the client's.

Repeat with `python -m benchmarks rest`.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.served import Connection, Served, fetched, served

TASK = "LaMP-7"
CLIENTS = (1, 8, 32)
# Requests of each client a round: about as many in all with few clients as with many.
REQUESTS = {1: 24, 8: 6, 32: 4}
ROUNDS = 5
OUTPUT_TOKENS = 48
# Enough training that adapters change their users' answers.
HYPERPARAMETERS = {"epochs": 3, "learning_rate": 3e-3, "alpha": 16}
ASKED = {"method": "peft-rag", "retriever": "bm25", "k": 4, "num_beams": 4, "max_output_tokens": OUTPUT_TOKENS}
TRAINING_SECONDS = 600.0


@dataclass(frozen=True)
class Asker:
    """One user's client: what it asks, and what the engine needs to answer the same."""

    body: dict[str, Any]
    output: str
    row: Any


@dataclass(frozen=True)
class Round:
    """One round over HTTP: how long all of it took, and each request, in seconds."""

    seconds: float
    latencies: Sequence[float]


def run() -> list[Figure]:
    with (
        served(DEFAULT_BASE_MODEL="small", MODEL_DEVICE="cpu", MODEL_THREADS="1") as lamppost,
        tempfile.TemporaryDirectory(prefix="lamppost-bench-adapters-") as folder,
    ):
        generator, askers = _prepared(lamppost, Path(folder))
        figures = [_throughput(lamppost, generator, askers[:clients]) for clients in CLIENTS]
        return [*(figure for figure, _ in figures), figures[0][1]]


def _prepared(lamppost: Served, folder: Path) -> tuple[Any, list[Asker]]:
    """Users with profiles and adapters there, and the engine with the same prompts and adapters here."""
    from lamp.synthetic.population import people
    from workers.engine.adapter_files import read_peft_folder
    from workers.engine.base_model import load_base_model
    from workers.engine.generation import GenerationRow, Generator
    from workers.engine.threads import limit_threads
    from workers.small_models import SMALL_T5

    limit_threads(1)
    base = load_base_model(str(SMALL_T5))
    client = lamppost.connect()
    population = list(people(TASK, users=range(1, max(CLIENTS) + 1), seed=5, strength=0.9, drift=0.0))
    for person in population:
        name = f"user-{person.user_id}"
        client.made("PUT", f"users/{name}", {})
        documents = [
            {"id": f"{number}", "task": TASK, "fields": dict(document.fields)}
            for number, document in enumerate(person.documents)
        ]
        client.made("POST", f"users/{name}/documents", documents)
    _train(client, [f"user-{person.user_id}" for person in population])
    askers = []
    for person in population:
        body = {"user": f"user-{person.user_id}", "task": TASK, "input": person.questions[0].input, **ASKED}
        told = client.made("POST", "generations?include=prompt", body, Prefer="wait=60")
        assert told["state"] == "done", told["problem"]
        adapter = _downloaded(client, told["adapter"]["id"], folder)
        weights = read_peft_folder(adapter, base=base, max_bytes=1 << 30)
        askers.append(Asker(body, told["output"], GenerationRow(told["prompt"], weights)))
    generator = Generator(base, slots=max(CLIENTS))
    texts = [made.text for made in _by_engine(generator, askers)]
    assert texts == [asker.output for asker in askers], "the answers differ"
    return generator, askers


def _train(client: Connection, users: Sequence[str]) -> None:
    jobs = []
    for user in users:
        body = {"user": user, "task": TASK, "rank": 8, "hyperparameters": HYPERPARAMETERS}
        jobs.append(client.made("POST", "adapters", body)["job"]["id"])
    until = time.monotonic() + TRAINING_SECONDS
    for job in jobs:
        while (state := client.made("GET", f"jobs/{job}")["state"]) != "done":
            assert state in ("waiting", "running"), f"training {job} {state}"
            assert time.monotonic() < until, "the adapters take too long"
            time.sleep(0.5)


def _downloaded(client: Connection, adapter_id: int, folder: Path) -> Path:
    place = folder / str(adapter_id)
    place.mkdir()
    for file in client.made("GET", f"adapters/{adapter_id}/download")["files"]:
        (place / file["name"]).write_bytes(fetched(file["url"]))
    return place


def _by_engine(generator: Any, askers: Sequence[Asker]) -> Any:
    return generator.generate([asker.row for asker in askers], num_beams=4, max_output_tokens=OUTPUT_TOKENS)


def _throughput(lamppost: Served, generator: Any, askers: Sequence[Asker]) -> tuple[Figure, Figure]:
    clients = len(askers)
    requests = REQUESTS[clients]
    # Slots and caches of both sides are as they will be.
    _by_engine(generator, askers)
    _over_http(lamppost, askers, requests=1)
    engine: list[float] = []
    rounds: list[Round] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(requests):
            _by_engine(generator, askers)
        engine.append((time.perf_counter() - began) / requests)
        rounds.append(_over_http(lamppost, askers, requests=requests))
    ours = [clients * requests / one.seconds for one in rounds]
    ratio = statistics.median(rate * seconds / clients for rate, seconds in zip(ours, engine, strict=True))
    latencies = [latency * 1000 for one in rounds for latency in one.latencies]
    p50, p95, p99 = (statistics.quantiles(latencies, n=100, method="inclusive")[place - 1] for place in (50, 95, 99))
    engine_ms = statistics.median(engine) * 1000
    figure = Figure(
        name=f"rest_throughput_c{clients}_vs_engine",
        ratio=ratio,
        median=statistics.median(ours),
        unit="requests/s",
        detail=(
            f"the engine in process, batches of {clients}: {clients * 1000 / engine_ms:.1f} rows/s; over HTTP p50 "
            f"{p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms of {len(latencies)} requests, none failed"
        ),
    )
    added = Figure(
        name="rest_added_ms",
        ratio=engine_ms / p50,
        median=p50 - engine_ms,
        unit="ms",
        detail=f"p50 of one client {p50:.1f} ms, the engine alone {engine_ms:.1f} ms",
    )
    return figure, added


def _over_http(lamppost: Served, askers: Sequence[Asker], *, requests: int) -> Round:
    """Every asker asks so often, one question after another, all askers at once."""
    latencies: list[float] = []
    failures: list[str] = []
    start = threading.Barrier(len(askers) + 1)

    def ask(asker: Asker) -> None:
        connection = lamppost.connect()
        # The connection stands before the clock runs.
        connection.made("GET", "base-models")
        start.wait()
        for _ in range(requests):
            began = time.perf_counter()
            status, told = connection.ask("POST", "generations", asker.body, Prefer="wait=60")
            latencies.append(time.perf_counter() - began)
            if status != 200 or told["state"] != "done" or told["output"] != asker.output:
                failures.append(f"{status} {told.get('state')} {told.get('problem') or told.get('detail')}")

    threads = [threading.Thread(target=ask, args=(asker,)) for asker in askers]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    assert not failures, f"{len(failures)} of {len(askers) * requests} requests: {failures[0]}"
    return Round(seconds, latencies)
