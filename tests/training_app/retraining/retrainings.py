"""Policies, sweeps and retrainings as rows, without anybody who finds out who is due."""

from typing import Any

from training_app.models import BaseModel, Retraining, RetrainingPolicy, RetrainingSweep
from users_app.models import EndUser


def a_policy(end_user: EndUser, base_model: BaseModel, **told: Any) -> RetrainingPolicy:
    number = RetrainingPolicy.objects.count()
    return RetrainingPolicy.objects.create(
        workspace=end_user.workspace,
        **{
            "name": f"policy {number}",
            "task": "LaMP-7",
            "base_model": base_model,
            "rank": 8,
            "new_documents": 1,
            "minimum_documents": 2,
            **told,
        },
    )


def a_retraining(end_user: EndUser, base_model: BaseModel, **told: Any) -> Retraining:
    """One that waits for its turn in a sweep of its own."""
    policy = a_policy(end_user, base_model, **told)
    sweep = RetrainingSweep.objects.create(policy=policy, rules={}, due=1)
    return Retraining.objects.create(
        sweep=sweep,
        end_user=end_user,
        task=policy.task,
        base_model=base_model,
        rank=policy.rank,
        position=0,
        due_for={"new": 1},
    )
