"""The playground: one input of one user, answered by each method side by side."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.api.problems import Problem
from training_app.generation_selectors import generation_by_id
from training_app.models import Generation
from training_app.side_by_side import ask_side_by_side
from training_app.views.lately import asked_lately, remember
from training_app.views.played import address_of
from training_app.views.playground_forms import FIELDS, WHOLE, QuestionForm
from users_app.selectors import end_users_beginning
from users_app.tasks import tasks_of
from users_app.views.base import WorkspacePage

_NUMBER_DIGITS = 18


class PlaygroundPage(WorkspacePage):
    """The form, filled in from the query string (`user`, `task`, `input`, `retriever`, `base_model`) or from what was
    asked before (`from`).
    """

    template_name = "training_app/playground.html"
    title = "Playground"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        form = context.setdefault("form", _form(self))
        lately = asked_lately(self.request, workspace=self.workspace)
        retrievers = form.retriever_options(workspace=self.workspace)
        return super().get_context_data(lately=lately, retrievers=retrievers, **context)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask, and lead to the answers."""
        form = QuestionForm(request.POST, tasks=tasks_of(workspace=self.workspace))
        status = 400
        try:
            questions = form.questions(workspace=self.workspace) if form.is_valid() else []
            if questions:
                asked = ask_side_by_side(workspace=self.workspace, questions=questions)
                remember(request, workspace=self.workspace, asked=asked)
                return redirect(address_of(self.workspace, asked))
        except Problem as problem:
            status = problem.status
            try:
                form.add_problem(problem)
            except Problem:
                form.add_error(None, problem.detail)
        return self.render_to_response(self.get_context_data(form=form), status=status)


class TaskFields(WorkspacePage):
    """The part of the form that is the chosen task's."""

    template_name = "training_app/task_fields.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(form=_form(self), **context)


class Retrievers(WorkspacePage):
    """The choice of a retriever, for the chosen task and base model."""

    template_name = "training_app/retriever_field.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        form = _form(self)
        return super().get_context_data(
            form=form, retrievers=form.retriever_options(workspace=self.workspace), **context
        )


class UsersFound(WorkspacePage):
    """Some users whose ids begin with `user`."""

    template_name = "training_app/users_found.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        found = end_users_beginning(workspace=self.workspace, beginning=self.request.GET.get("user", "")[:255])
        return super().get_context_data(found=found, **context)


def _form(view: WorkspacePage) -> QuestionForm:
    query = view.request.GET
    tasks = tasks_of(workspace=view.workspace)
    keys = [one.task.key for one in tasks]
    values: dict[str, Any] = {name: query.get(name, "").replace("\0", "") for name in ("user", "task", "input")}
    # Empty is none of a choice's values, where the form has its own.
    values |= {name: query[name] for name in ("retriever", "base_model") if query.get(name)}
    values["form"] = WHOLE if values["input"] else FIELDS
    before = _asked_before(view)
    if before is not None:
        values = {
            "user": before.end_user.external_id,
            "task": before.task,
            "form": WHOLE,
            "input": before.input,
            "base_model": before.base_model.public_name,
            "num_beams": before.parameters.get("num_beams"),
        }
        if before.retriever:
            values |= {"retriever": before.retriever, "k": before.documents_wanted}
    if values["task"] not in keys:
        values["task"] = keys[0]
    return QuestionForm(initial=values, tasks=tasks)


def _asked_before(view: WorkspacePage) -> Generation | None:
    number = view.request.GET.get("from", "")
    if not number.isdecimal() or not number.isascii() or len(number) > _NUMBER_DIGITS:
        return None
    return generation_by_id(workspace=view.workspace, generation_id=int(number))
