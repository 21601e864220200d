"""What this app gives of a person: the questions asked for them, and what experiments answered."""

from collections.abc import Iterator

from django.db.models import F

from eval_app.models import Prediction, Question, UserImprovement
from users_app.exporting import CHUNK, Exporter, ExportFile, json_lines
from users_app.models import EndUser, Workspace


def _files(workspace: Workspace, end_user: EndUser) -> Iterator[ExportFile]:
    whose = {"end_user": end_user, "end_user__workspace": workspace}
    questions = Question.objects.filter(**whose).order_by("pk")
    yield ExportFile(
        "experiments/questions.jsonl",
        json_lines(
            questions.values(
                "pk",
                "external_id",
                "input",
                "gold",
                "oracle_answer",
                "document_ids",
                "entry_ids",
                dataset=F("split__dataset__name"),
                task=F("split__task"),
                part=F("split__split"),
                version=F("split__version"),
            ).iterator(CHUNK)
        ),
    )
    # What a control answered was made of another user's profile, and is not this one's to have.
    predictions = Prediction.objects.filter(**whose, swapped_with=None).order_by("pk")
    yield ExportFile(
        "experiments/predictions.jsonl",
        json_lines(
            predictions.values(
                "question_id",
                "run_id",
                "prompt",
                "output",
                "scores",
                "retrieved_document_ids",
                "retrieved_scores",
                "chosen_retriever",
                "candidate_scores",
                method=F("run__family"),
                retriever=F("run__retriever"),
                candidates=F("run__selector__pool"),
            ).iterator(CHUNK)
        ),
    )
    improvements = UserImprovement.objects.filter(**whose).order_by("pk")
    yield ExportFile(
        "experiments/improvements.jsonl",
        json_lines(
            improvements.values(
                "run_id", "metric", "profile_size", "question_count", "score", "baseline_score", "direction"
            ).iterator(CHUNK)
        ),
    )


EXPORTER = Exporter(name="eval_app", files=_files)
