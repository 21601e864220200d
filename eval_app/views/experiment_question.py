"""One question with everything that an experiment's methods answered to it, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.text import Truncator

from eval_app.answer_selectors import (
    ColumnAnswer,
    Neighbours,
    RetrievedText,
    answers_to,
    chosen_in,
    neighbours,
    question_of_experiment,
    retrieved_texts,
)
from eval_app.differences import differences
from eval_app.models import Prediction
from eval_app.views.found import experiment_or_404, or_404
from lamp.catalogue import get_task
from lamp.queries import document_text
from lamp.tasks import Task
from lamp.templates import MissingField
from retrieval_app.chosen import Chosen
from users_app.views.base import WorkspacePage

# Of a text that somebody imported. What one model reads or says is far shorter.
_CHARACTERS_MOST: Final = 20_000
_DOCUMENT_CHARACTERS_MOST: Final = 5_000
_BEGINNING: Final = 110


class ExperimentQuestionPage(WorkspacePage):
    """A sample: its input, what was right, and each method's documents, prompt, output, scores and costs."""

    template_name = "eval_app/experiment_question.html"
    title = "One question"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        experiment = experiment_or_404(self.workspace, self.kwargs["experiment_id"])
        question = or_404(
            question_of_experiment(
                workspace=self.workspace, experiment=experiment, question_id=self.kwargs["question_id"]
            )
        )
        task = get_task(question.split.task)
        answers = answers_to(workspace=self.workspace, experiment=experiment, question=question)
        predictions = [one.prediction for one in answers if one.prediction is not None]
        texts = retrieved_texts(workspace=self.workspace, predictions=predictions)
        runs = [one.column.run for one in answers if one.column.run is not None]
        chosen = chosen_in(workspace=self.workspace, predictions=predictions, runs=runs)
        around = Neighbours(None, None)
        if predictions:
            around = neighbours(workspace=self.workspace, run=predictions[0].run, question=question)
        return super().get_context_data(
            experiment=experiment,
            question=question,
            task=task,
            profile_size=question.profile_size,  # type: ignore[attr-defined]  # annotated by the selector
            input=_cut(question.input),
            gold=None if question.gold is None else _cut(question.gold),
            oracle_answer=None if question.oracle_answer is None else _cut(question.oracle_answer),
            answers=[_shown(one, task=task, gold=question.gold, texts=texts, chosen=chosen) for one in answers],
            around=around,
            **context,
        )


def _shown(
    answer: ColumnAnswer,
    *,
    task: Task,
    gold: str | None,
    texts: Mapping[int, list[RetrievedText]],
    chosen: Mapping[int, Chosen],
) -> dict[str, Any]:
    """A method's card. `why_not` is said where it did not answer."""
    column, prediction = answer.column, answer.prediction
    shown: dict[str, Any] = {"title": answer.title, "run": column.run, "retriever": ""}
    if prediction is None:
        state = "not run" if column.run is None else column.run.get_state_display()
        why_not = column.refusal or (f"No answer: the run is {state}." if column.run else "Not run yet.")
        return {**shown, "why_not": why_not}
    if column.run is not None and column.method.split(":")[1:2] == ["best"]:
        shown["retriever"] = column.run.retriever
    own = prediction.scores or {}
    return {
        **shown,
        "prediction": prediction,
        "output": _cut(prediction.output),
        "parts": _parts(gold, prediction.output),
        "is_equal": gold is not None and gold.strip() == prediction.output.strip(),
        "scores": [
            ("squared error" if metric.name == "RMSE" else metric.name, own[metric.name])
            for metric in task.metrics
            if metric.name in own
        ],
        "prompt": None if prediction.prompt is None else _cut(prediction.prompt),
        "chosen": chosen.get(prediction.pk),
        "documents": [_document(one, task) for one in texts[prediction.pk]],
        "costs": _costs(prediction),
    }


def _parts(gold: str | None, output: str) -> list[dict[str, str]] | None:
    if gold is None:
        return None
    parts = differences(gold, output)
    if parts is None:
        return None
    return [{"change": part.change.value, "text": part.text} for part in parts if part.text]


def _costs(prediction: Prediction) -> list[tuple[str, int | float, str]]:
    known = (
        ("tokens in", prediction.input_tokens, ""),
        ("tokens out", prediction.output_tokens, ""),
        ("retrieval", prediction.retrieval_ms, "ms"),
        ("loading the adapter", prediction.adapter_ms, "ms"),
        ("generation", prediction.model_ms, "ms"),
    )
    return [(name, value, unit) for name, value, unit in known if value is not None]


def _document(retrieved: RetrievedText, task: Task) -> dict[str, Any]:
    if retrieved.fields is None:
        return {"score": f"{retrieved.score:.4g}", "deleted": True}
    text = _text_of(task, retrieved.fields)
    return {
        "score": f"{retrieved.score:.4g}",
        "date": retrieved.fields.get("date"),
        "beginning": Truncator(" ".join(text[: 4 * _BEGINNING].split())).chars(_BEGINNING),
        "text": text[:_DOCUMENT_CHARACTERS_MOST],
        "is_cut": len(text) > _DOCUMENT_CHARACTERS_MOST,
    }


def _text_of(task: Task, fields: Any) -> str:
    """All fields of a document that the task names, each on a line where there are several."""
    try:
        names: Sequence[str] = [name for name in task.fields if name in fields]
        if len(names) > 1:
            return "\n".join(f"{name}: {fields[name]}" for name in names)
        return document_text(task, fields)
    except (MissingField, TypeError):
        return str(dict(fields))


def _cut(text: str) -> dict[str, Any]:
    return {"text": text[:_CHARACTERS_MOST], "is_cut": len(text) > _CHARACTERS_MOST}
