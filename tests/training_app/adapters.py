"""Plans and facts of adapters without any training."""

from training_app.adapters import AdapterPlan, TrainedFacts, ensure_base_model, plan_adapter
from training_app.models import BaseModel
from users_app.models import Document, EndUser

HYPERPARAMETERS = {"rank": 8, "epochs": 1}


def a_base_model() -> BaseModel:
    return ensure_base_model(name="some/t5", revision="1")


def plan_of(
    end_user: EndUser,
    documents: list[Document],
    *,
    seed: int = 0,
    exact: bool = False,
    stored_dtype: str = "float32",
    **hyperparameters: object,
) -> AdapterPlan:
    return plan_adapter(
        workspace=end_user.workspace,
        end_user_id=end_user.pk,
        task="LaMP-7",
        base_model=a_base_model(),
        dtype="float32",
        exact=exact,
        stored_dtype=stored_dtype,
        hyperparameters={**HYPERPARAMETERS, **hyperparameters},
        seed=seed,
        documents=[(document.pk, bytes(document.digest).hex()) for document in documents],
    )


def facts(content: str = "c1") -> TrainedFacts:
    return TrainedFacts(
        object_prefix=f"adapters/{content}/",
        content_digest=content,
        size_bytes=10,
        loss_curve=[2.0, 1.0],
        steps=2,
        training_seconds=0.5,
        versions={"torch": "2"},
        hardware={"machine": "x86_64"},
    )
