"""Feedback of two people's tweets that stands, and selector trainings on it, as small as they come."""

from typing import Any

from eval_app.model_trainings import request_training
from eval_app.models import DatasetSplit, ModelTraining, Prediction, Question, Run
from eval_app.reports import score_run
from eval_app.selector_runs import method_of_member
from tests.eval_app.stored import PARAMETERS, a_base_model, a_run
from tests.people import questions_of, split_of
from training_app.models import BaseModel
from users_app.models import EndUser
from users_app.shared_training import set_shared_training

POOL = ("none", "bm25")
FEW_STEPS = {"epochs": 2, "batch_size": 2, "learning_rate": 1e-3}


def both_splits(alice: EndUser, bob: EndUser) -> tuple[DatasetSplit, DatasetSplit]:
    """The same questions as train and as dev split; the workspace lets everyone's data be learned from."""
    set_shared_training(workspace=alice.workspace, policy="everyone")
    train, dev = (split_of(questions_of(alice, bob), split=split) for split in ("train", "dev"))
    return train, dev


def ask_for_training(split: DatasetSplit, /, **changed: Any) -> ModelTraining:
    """Ask for a selector of the dataset of `split`."""
    asked: dict[str, Any] = {
        "workspace": split.dataset.workspace,
        "kind": "rspg-pre",
        "dataset": split.dataset,
        "tasks": None,
        "base_model": changed.get("base_model") or a_base_model(),
        "encoder": None,
        "initial_model": "small",
        "pool": POOL,
        "documents_wanted": 2,
        "parameters": PARAMETERS,
        "hyperparameters": FEW_STEPS,
        "seed": 0,
        "user_limit": None,
    }
    return request_training(**{**asked, **changed})


def answer_feedback(
    split: DatasetSplit, *, best: str = "bm25", base_model: BaseModel | None = None, pool: tuple[str, ...] = POOL
) -> list[Run]:
    """Runs of the pool that stand: `best` gives the right answers, and the others nothing like them."""
    runs = []
    for name in pool:
        run = a_run(split, method_of_member(name).key, base_model=base_model or a_base_model())
        Prediction.objects.bulk_create(
            Prediction(
                run=run,
                question=question,
                end_user_id=question.end_user_id,
                prompt=f"{name} {question.input}",
                output=question.gold if name == best else "zzz",
            )
            for question in Question.objects.filter(split=split).order_by("position")
        )
        Run.objects.filter(pk=run.pk).update(state=Run.State.SCORING)
        run.refresh_from_db()
        score_run(run=run)
        runs.append(run)
    return runs
