"""A workspace that has one of everything, for tests that go over all of the API."""

from eval_app.dataset_imports import create_draft
from eval_app.models import DatasetSplit, ImportProblem
from eval_app.uploads import create_upload
from jobs.services import JobSpec, cancel, enqueue
from tests import people
from tests.eval_app.stored import answered_run, ended
from tests.eval_app.trained import a_trained_model, a_training
from tests.lamp.own_tasks import REPLIES
from tests.retrieval_app.trained import SCORES, has_chosen, trained
from tests.training_app.generations import answered, asked
from tests.training_app.retraining.policies import a_policy
from tests.webhooks import webhook
from training_app.models import Retraining, RetrainingSweep, ServingChoice
from users_app.audit import INSTALLATION
from users_app.erasure import erase_end_user
from users_app.models import EndUser, Workspace
from users_app.tasks import define_task
from users_app.webhooks import send_ping

FILENAME = "what-alice-wrote.json"
HOOKS = "hooks-of-acme"
POLICY = "nightly-of-acme"


def one_of_everything(*, workspace: Workspace, alice: EndUser, dev: DatasetSplit) -> Workspace:
    """Give `workspace`, where Alice and the dev split are, what else there may be in one."""
    answered(alice)
    asked(alice, kind="preview")
    answers = ["rain on my roses again", "my bike", "garden gloves"]
    runs = {method: answered_run(dev, answers, method=method) for method in ("none", "rag:bm25")}
    selector = trained(workspace)
    has_chosen(answered(alice, method="rag", retriever="rspg-pre"))
    chooses = runs["rag:rspg-pre"] = answered_run(dev, answers, method="rag:rspg-pre", selector=selector)
    chooses.predictions.update(chosen_retriever="bm25", candidate_scores=SCORES)
    ended(dev, runs)
    selector = a_trained_model(workspace, alice, erasures=1)
    a_training(dev.dataset, state="done", trained_model=selector)
    create_upload(workspace=workspace, name=FILENAME, size=2)
    _an_import_with_a_problem(workspace)
    define_task(workspace=workspace, definition=REPLIES)
    job = enqueue(JobSpec(kind="embed_documents", workspace_id=workspace.pk, end_user_id=alice.pk))
    cancel(job.pk)
    send_ping(endpoint=webhook(workspace, f"https://93.184.216.34/{HOOKS}"))
    erase_end_user(workspace=workspace, end_user=people.person(workspace, "carol"))
    _a_retraining(alice)
    return workspace


def _a_retraining(end_user: EndUser) -> None:
    policy = a_policy(end_user.workspace, name=POLICY)
    sweep = RetrainingSweep.objects.create(policy=policy, rules={"rank": 8}, due=1)
    retraining = Retraining.objects.create(
        sweep=sweep,
        end_user=end_user,
        task=policy.task,
        base_model=policy.base_model,
        rank=policy.rank,
        position=0,
        due_for={"new": 2},
        scores={"none": [0.5], "trial": [1.0]},
    )
    ServingChoice.objects.create(
        end_user=end_user,
        task=policy.task,
        base_model=policy.base_model,
        by="retraining",
        retraining=retraining,
        reason="it is not worse",
    )


def _an_import_with_a_problem(workspace: Workspace) -> None:
    draft = create_draft(workspace=workspace, dataset="more", split="dev", source="files", by=INSTALLATION)
    ImportProblem.objects.create(
        dataset_import=draft, position=0, split="dev", file=FILENAME, row=1, message="is missing", remedy="Add it"
    )
