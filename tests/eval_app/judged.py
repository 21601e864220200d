"""ROPG trainings of two people's tweets, as small as they come."""

from typing import Any

from eval_app.model_trainings import request_training
from eval_app.models import DatasetSplit, ModelTraining
from tests.eval_app.stored import PARAMETERS, small_encoder, small_t5
from tests.people import questions_of, split_of
from users_app.models import EndUser
from users_app.shared_training import set_shared_training

FEW_STEPS = {"epochs": 3, "batch_size": 2, "learning_rate": 1e-3, "judged_documents": 3}
# Enough tokens that the small model's answers differ from document to document.
JUDGED = {**PARAMETERS, "max_output_tokens": 16}


def both_splits(alice: EndUser, bob: EndUser, *, policy: str = "everyone") -> tuple[DatasetSplit, DatasetSplit]:
    """The same questions as train and as dev split, in a workspace with this policy of shared training."""
    set_shared_training(workspace=alice.workspace, policy=policy)
    train, dev = (split_of(questions_of(alice, bob), split=split) for split in ("train", "dev"))
    return train, dev


def ask_for_encoder(split: DatasetSplit, /, **changed: Any) -> ModelTraining:
    """Ask for an encoder that learns from the dataset of `split`."""
    asked: dict[str, Any] = {
        "workspace": split.dataset.workspace,
        "kind": "ropg-kd",
        "dataset": split.dataset,
        "tasks": None,
        "base_model": changed.get("base_model") or small_t5(),
        "encoder": changed.get("encoder") or small_encoder(),
        "initial_model": "small",
        "pool": (),
        "documents_wanted": 2,
        "parameters": JUDGED,
        "hyperparameters": FEW_STEPS,
        "seed": 0,
        "user_limit": None,
    }
    return request_training(**{**asked, **changed})
