"""What this app erases of a person: questions, what was answered to them or in their name, and files that hold them.

What an ended experiment says of all its users together stays as it is: its report and the metrics of its runs are no
longer anybody's. Each run counts how many people were erased from it, and its table says so.
"""

from django.db.models import F, Q

from eval_app.import_requests import kept_sources
from eval_app.model_trainings import OPEN
from eval_app.models import DocumentFeedback, ModelTraining, Prediction, Question, Run, UserImprovement
from eval_app.selectors import run_origin
from retrieval_app.object_keys import checkpoints_prefix
from training_app.models import Generation
from users_app.erasers import Eraser, Erasing, ErasingDocuments


def _erase_end_user(erasing: Erasing) -> None:
    end_user = erasing.end_user
    questions = Question.objects.filter(end_user=end_user)
    splits = list(questions.order_by().values_list("split_id", flat=True).distinct())
    erasing.prefixes += kept_sources(workspace=erasing.workspace, split_ids=splits)
    erasing.prefixes += _checkpoints(erasing)
    _erase_from_controls_under_way(erasing, splits)
    answered = Prediction.objects.filter(Q(end_user=end_user) | Q(swapped_with=end_user))
    # One that has not ended is scored without them, so it is of nobody who was erased.
    ended = Run.objects.filter(pk__in=answered.order_by().values("run_id"), state=Run.State.DONE)
    ended.update(erased_end_users=F("erased_end_users") + 1)
    erasing.delete_own(Prediction)
    # In a control, another's question was answered with this profile: the prompt holds its words.
    erasing.delete_own(Prediction, column="swapped_with_id")
    erasing.delete_own(UserImprovement)
    erasing.delete_own(DocumentFeedback)
    erasing.delete_own(Question)


def _checkpoints(erasing: Erasing) -> list[str]:
    """Of every training under way that may have learned from this user: it begins anew, without what is erased.

    A worker that is training looks at who is left around each checkpoint that it keeps.
    """
    asked = Question.objects.filter(end_user=erasing.end_user).order_by().values("split__dataset")
    trainings = ModelTraining.objects.filter(workspace=erasing.workspace, dataset__in=asked, state__in=OPEN)
    return [checkpoints_prefix(training_id=pk) for pk in trainings.values_list("pk", flat=True)]


def _erase_from_controls_under_way(erasing: Erasing, splits: list[int]) -> None:
    """A control asks this user's questions as if another had asked them, so these do not go with the user's own."""
    controls = Run.objects.exclude(control="").filter(split__in=splits).values_list("pk", "split_id")
    for run_id, split_id in controls:
        own = Question.objects.filter(end_user=erasing.end_user, split=split_id).values_list("pk", flat=True)
        asked = Generation.objects.filter(origin__in=[f"{run_origin(run_id)}/{pk}" for pk in own])
        erasing.count(Generation, asked.delete()[0])


def _erase_documents(erasing: ErasingDocuments) -> None:
    """Empty the prompts that quote them, forget what they were worth, and what trainings under way made of both."""
    erasing.prefixes += _checkpoints(erasing)
    # Whoever records an answer that quotes a document holds the generation: its prediction is then there, and is found
    # below, or it waits, and finds the document gone.
    asked = Generation.objects.filter(
        end_user=erasing.end_user, task=erasing.task, profile_document_ids__overlap=list(erasing.gone)
    )
    list(asked.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    whose = Q(end_user=erasing.end_user) | Q(swapped_with=erasing.end_user)
    quoting = Prediction.objects.filter(whose, retrieved_document_ids__overlap=list(erasing.gone))
    quoting.update(prompt="")
    # Of what is left, the first documents are others: the question is asked anew.
    judging = DocumentFeedback.objects.filter(end_user=erasing.end_user, document_ids__overlap=list(erasing.gone))
    erasing.count(DocumentFeedback, judging.delete()[0])


ERASER = Eraser(
    name="eval_app",
    models=(Question, Prediction, DocumentFeedback, UserImprovement),
    end_user=_erase_end_user,
    documents=_erase_documents,
)
