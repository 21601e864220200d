"""One end user: their profile over time, their adapters and which of them serves, what was lately generated for them,
and what helped them.
"""

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.keyset_lists import KeysetPage, keyset_page
from eval_app.answer_selectors import improvements_of_person
from eval_app.improvement import Direction
from eval_app.views.found import end_user_or_404, run_title
from eval_app.views.run_users import DIRECTION_TITLES
from training_app.adapter_history import adapters_of_person, reasons_of
from training_app.base_models import base_models
from training_app.costs.words import bytes_in_words
from training_app.generation_selectors import generations_of
from training_app.models import Adapter, BaseModel
from training_app.serving import ChoiceRefused, choose_adapter, served_before
from training_app.serving_selectors import choices_of, serving_of_person
from users_app.audit import actor_of_staff
from users_app.models import Document, EndUser, ProfileEntry
from users_app.profile_selectors import documents_by_period, documents_by_task, places_of
from users_app.selectors import documents_of
from users_app.views.base import WorkspacePage

_ROWS: Final = 20
_GENERATIONS: Final = 10
_FIELD_CHARACTERS_MOST: Final = 2_000


class PersonPage(WorkspacePage):
    """All that is known of one end user, each list a page at a time."""

    template_name = "eval_app/person.html"
    title = "Person"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        end_user = end_user_or_404(self.workspace, self.kwargs["end_user_id"])
        tasks = documents_by_task(workspace=self.workspace, end_user=end_user)
        asked = self.request.GET.get("task", "")
        task = next((one for one in tasks if one.task == asked), tasks[0] if tasks else None)
        return super().get_context_data(
            end_user=end_user,
            tasks=tasks,
            task=task,
            **(self._profile(end_user, task.task) if task else {}),
            **self._adapters(end_user),
            **self._serving(end_user),
            **self._improvements(end_user),
            generations=generations_of(workspace=self.workspace)
            .filter(end_user=end_user)
            .order_by("-created_at")[:_GENERATIONS],
            **context,
        )

    def _profile(self, end_user: EndUser, task: str) -> dict[str, Any]:
        periods = documents_by_period(workspace=self.workspace, end_user=end_user, task=task)
        most = max((one.documents for one in periods), default=1)
        documents = self._page(
            documents_of(workspace=self.workspace, end_user=end_user, task=task), end_user, f"documents {task}"
        )
        places = places_of(workspace=self.workspace, end_user=end_user, documents=documents.rows)
        return {
            "periods": [(one, round(100 * one.documents / most)) for one in periods],
            "documents_page": documents,
            "documents": [_shown(one, places.get(one.pk)) for one in documents.rows],
        }

    def _adapters(self, end_user: EndUser) -> dict[str, Any]:
        page = self._page(adapters_of_person(workspace=self.workspace, end_user=end_user), end_user, "adapters")
        why = reasons_of(workspace=self.workspace, end_user=end_user, adapters=page.rows)
        adapters = [(one, bytes_in_words(one.size_bytes), why[one.pk]) for one in page.rows]
        return {"adapters_page": page, "adapters": adapters}

    def _serving(self, end_user: EndUser) -> dict[str, Any]:
        serving = [
            (
                one,
                served_before(workspace=self.workspace, end_user=end_user, task=one.task, base_model=one.base_model),
            )
            for one in serving_of_person(workspace=self.workspace, end_user=end_user)
        ]
        choices = choices_of(workspace=self.workspace, end_user=end_user)
        return {
            "serving": serving,
            "serving_ids": {one.adapter.pk for one, _ in serving if one.adapter is not None},
            "choices_page": self._page(choices, end_user, "choices"),
        }

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Let one of the person's adapters serve from now on, or none, as the form says."""
        end_user = end_user_or_404(self.workspace, self.kwargs["end_user_id"])
        base_model, number = _base_model(request), request.POST.get("adapter", "")
        adapter = (
            adapters_of_person(workspace=self.workspace, end_user=end_user).filter(pk=int(number)).first()
            if number.isascii() and number.isdigit() and len(number) < 19
            else None
        )
        if base_model is None or (adapter is None and number != "none"):
            messages.error(request, "Choose an adapter that is listed here, or that none serves.")
        else:
            self._choose(end_user, base_model, adapter)
        return redirect("person", workspace=self.workspace.slug, end_user_id=end_user.pk)

    def _choose(self, end_user: EndUser, base_model: BaseModel, adapter: Adapter | None) -> None:
        try:
            choose_adapter(
                workspace=self.workspace,
                end_user=end_user,
                task=self.request.POST.get("task", "")[:100],
                base_model=base_model,
                adapter=adapter,
                reason="It was chosen on the person's page.",
                by=actor_of_staff(self.request),
            )
        except ChoiceRefused as refused:
            messages.error(self.request, str(refused))
            return
        served = "No adapter" if adapter is None else f"Adapter {adapter.pk}"
        messages.success(self.request, f"{served} serves from now on.")

    def _improvements(self, end_user: EndUser) -> dict[str, Any]:
        found = improvements_of_person(workspace=self.workspace, end_user=end_user)
        page = self._page(found, end_user, "improvements")
        improvements = [
            {
                "row": one,
                "title": run_title(one.run),
                "word": DIRECTION_TITLES[Direction(one.direction)],
                "badge": {1: "good", 0: "", -1: "bad"}[one.direction],
            }
            for one in page.rows
        ]
        return {"improvements_page": page, "improvements": improvements}

    def _page(self, rows: Any, end_user: EndUser, name: str) -> KeysetPage:
        return keyset_page(
            rows,
            order=("-pk",),
            query=self.request.GET,
            bound_to=f"person {end_user.pk} {name}",
            parameter=f"{name.partition(' ')[0]}-after",
            size=_ROWS,
        )


def _base_model(request: HttpRequest) -> BaseModel | None:
    number = request.POST.get("base_model", "")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return base_models().filter(pk=int(number)).first()


def _shown(document: Document, entry: ProfileEntry | None) -> dict[str, Any]:
    fields = [
        (name, str(value)[:_FIELD_CHARACTERS_MOST], len(str(value)) > _FIELD_CHARACTERS_MOST)
        for name, value in document.fields.items()
    ]
    return {"document": document, "fields": fields, "entry": entry}
