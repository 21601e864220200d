"""The samples of a run: what it answered to which question, and how well."""

import math
from typing import Any

from django.http import QueryDict

from eval_app.answer_selectors import AnswersPage, ScoreRange, answers_page, chosen_in, columns_with, listed_answers
from eval_app.methods import parse_method
from eval_app.models import Prediction
from eval_app.views.found import run_or_404, run_title
from lamp.catalogue import get_task
from lamp.tasks import Task
from retrieval_app.chosen import Chosen
from users_app.selectors import end_user_by_external_id
from users_app.views.base import WorkspacePage

_SHORTEST_NUMBER = 40


class RunAnswersPage(WorkspacePage):
    """Samples in the file's order, a page at a time; of one user and of a range of scores where one is asked for."""

    template_name = "eval_app/run_answers.html"
    title = "Answers of a run"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        run = run_or_404(self.workspace, self.kwargs["run_id"])
        query = self.request.GET
        task = get_task(run.split.task)
        metric = task.primary_metric
        scores = ScoreRange(metric=metric.name, least=_number(query, "least"), most=_number(query, "most"))
        # An id may begin or end with a blank; one with a NUL is nobody's, and no database may be asked for it.
        user = query.get("user", "").replace("\x00", "")
        end_user = end_user_by_external_id(workspace=self.workspace, external_id=user) if user else None
        after = query.get("after", "")
        page = AnswersPage([], None)
        if not user or end_user is not None:
            page = answers_page(
                listed_answers(workspace=self.workspace, run=run, end_user=end_user),
                scores=scores,
                after=int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else None,
            )
        experiments = list(columns_with(workspace=self.workspace, run=run)[:20])
        asked = query.get("experiment", "")
        column = next((one for one in experiments if str(one.experiment_id) == asked), None)
        chosen = chosen_in(workspace=self.workspace, predictions=page.answers, runs=[run])
        return super().get_context_data(
            run=run,
            run_title=run_title(run),
            page=page,
            samples=[_shown(one, task, chosen.get(one.pk)) for one in page.answers],
            chooses=run.selector_id is not None,
            older=_with(query, after=page.after) if page.after is not None else None,
            first=_with(query, after=None),
            is_first="after" not in query,
            user=user,
            end_user=end_user,
            metric=metric,
            scores=scores,
            column=column or (experiments[0] if experiments else None),
            method_title=parse_method(column.method).title if column else "",
            **context,
        )


def _shown(prediction: Prediction, task: Task, chosen: Chosen | None) -> dict[str, Any]:
    """A row of the list, whose input is without the words with which all of the task begin."""
    own = prediction.scores or {}
    return {
        "question": prediction.question,
        "end_user": prediction.end_user,
        "input": prediction.shown_input.removeprefix(task.opening).strip(),  # type: ignore[attr-defined]  # annotated by `listed_answers`
        "gold": prediction.shown_gold,  # type: ignore[attr-defined]
        "output": prediction.shown_output,  # type: ignore[attr-defined]
        "chosen": chosen,
        "scores": [(metric.name, own[metric.name]) for metric in task.metrics if metric.name in own],
    }


def _number(query: QueryDict, name: str) -> float | None:
    """A finite number of the query string; what is none is ignored."""
    written = query.get(name, "")
    try:
        value = float(written) if len(written) < _SHORTEST_NUMBER else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _with(query: QueryDict, *, after: int | None) -> str:
    changed = query.copy()
    changed.pop("after", None)
    if after is not None:
        changed["after"] = str(after)
    return changed.urlencode()
