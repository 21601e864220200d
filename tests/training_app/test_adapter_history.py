"""What made an adapter another one than the one before it."""

import pytest

from tests import people
from tests.training_app.adapters import facts, plan_of
from training_app.adapter_history import DocumentsChanged, adapters_of_person, reasons, reasons_of
from training_app.adapters import record_adapter
from training_app.models import Adapter

PLAIN = {
    "hyperparameters": {"rank": 8, "epochs": 1},
    "seed": 0,
    "task_version": "v1",
    "engine_version": "1",
    "dtype": "float32",
    "stored_dtype": "float32",
    "exact": False,
}


@pytest.mark.parametrize(
    ("changed", "documents", "expected"),
    [
        ({}, DocumentsChanged(1, 0), ["1 more document"]),
        ({}, DocumentsChanged(2, 3), ["2 more documents and 3 of the earlier ones gone"]),
        ({"seed": 7}, DocumentsChanged(), ["seed 0 → 7"]),
        ({"hyperparameters": {"rank": 8, "epochs": 5}}, DocumentsChanged(), ["epochs 1 → 5"]),
        ({"task_version": "v2"}, DocumentsChanged(), ["another version of the task"]),
        ({"engine_version": "2"}, DocumentsChanged(), ["engine 1 → 2"]),
        ({"exact": True}, DocumentsChanged(), ["other precision, or trained alone instead of together"]),
        ({}, DocumentsChanged(), ["the same documents in another order"]),
    ],
)
def test_what_differs_is_said(changed, documents, expected):
    assert reasons(Adapter(**PLAIN), Adapter(**{**PLAIN, **changed}), documents=documents) == expected


def test_each_kind_of_adapter_has_a_history_of_its_own(alice, workspace):
    documents = people.tweets_of(alice)
    for rank, seed in ((8, 0), (16, 0), (8, 1)):
        record_adapter(
            end_user=alice, plan=plan_of(alice, documents, rank=rank, seed=seed), facts=facts(f"{rank}{seed}")
        )
    found = list(adapters_of_person(workspace=workspace, end_user=alice).order_by("pk"))
    assert [(one.rank, one.number) for one in found] == [(8, 1), (16, 1), (8, 2)]
    why = reasons_of(workspace=workspace, end_user=alice, adapters=found)
    assert [why[one.pk] for one in found] == [
        ["the first of this task, base model and rank"],
        ["the first of this task, base model and rank"],
        ["seed 0 → 1"],
    ]


def test_nobody_else_s_adapters_are_among_them(alice, bob, mallory, workspace):
    record_adapter(end_user=bob, plan=plan_of(bob, people.tweets_of(bob)), facts=facts())
    assert list(adapters_of_person(workspace=workspace, end_user=alice)) == []
    assert list(adapters_of_person(workspace=mallory.workspace, end_user=bob)) == []
