"""The registry of kinds, and of who listens."""

import pytest

from jobs import kinds, origins
from jobs.kinds import Kind


def test_a_kind_registered_again_stays(kind_of):
    kind = kind_of(None)
    kinds.register(kind)
    assert kinds.get(kind.name) == kind


def test_another_kind_of_the_same_name_is_refused(kind_of):
    kind = kind_of(None)
    with pytest.raises(ValueError, match="twice"):
        kinds.register(Kind(name=kind.name, queue="model", handler="a.b"))


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"queue": "gpu"},
        {"handler": "handle"},
        {"batch_size": 0},
        {"max_attempts": 0},
        {"lease_seconds": 0},
        {"gather_seconds": -1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_kind_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError):
        Kind(**({"name": "import", "queue": "cpu", "handler": "workers.imports.handle"} | options))


def test_kinds_are_found_by_their_queues(kind_of):
    cpu, model = kind_of(None), kind_of(None, queue="model")
    assert cpu in kinds.all_kinds(["cpu"])
    assert model not in kinds.all_kinds(["cpu"])


def test_a_listener_that_fails_does_not_keep_the_others(monkeypatch, caplog):
    heard = []

    def bad(origin):
        raise ValueError("what alice wrote")

    monkeypatch.setattr(origins, "_listeners", {"bad": bad, "run": heard.append})
    origins.tell(["bad:1", "run:2", "", "nobody:3"])
    assert heard == ["run:2"]
    assert "alice" not in caplog.text


def test_a_listener_for_many_hears_of_all_that_ended_together_at_once(monkeypatch):
    heard = []
    monkeypatch.setattr(origins, "_listeners_of_many", {})
    origins.register_for_many("many", heard.append)
    origins.tell(["many:2", "many:1", "many:2", "nobody:3"])
    assert heard == [["many:1", "many:2"]]
    with pytest.raises(ValueError, match="twice"):
        origins.register("many", print)


@pytest.mark.parametrize("prefix", ["", "run:"])
def test_an_odd_prefix_is_refused(prefix):
    with pytest.raises(ValueError):
        origins.register(prefix, print)


@pytest.mark.parametrize(
    ("queue", "served", "together"),
    [
        ("training", ("training",), {"training"}),
        ("training", ("cpu", "model", "training"), {"model", "training"}),
        ("model", ("model", "training"), {"model", "training"}),
        ("cpu", ("cpu", "model", "training"), {"cpu"}),
        ("model", (), {"model"}),
    ],
)
def test_jobs_of_the_queues_that_hold_models_wait_for_each_other_where_one_worker_serves_them(queue, served, together):
    assert set(kinds.waited_for_together(queue, served=served)) == together
