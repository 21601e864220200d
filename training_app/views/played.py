"""The playground's answers, at an address of their own: whoever opens it again asks nothing anew."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from common.api.problems import Problem
from jobs.models import UNFINISHED, Job
from training_app.adapter_requests import NothingToLearnFrom, find_or_request_adapter, plan_from_profile
from training_app.adapter_selectors import training_job
from training_app.generation_selectors import generations_by_ids
from training_app.models import Generation
from training_app.shown_answers import has_usable_adapter, shown_answers
from training_app.side_by_side import ADAPTING, FAMILIES
from users_app.models import EndUser, Workspace
from users_app.views.base import WorkspacePage

_MOST = len(FAMILIES)
_NUMBER_DIGITS = 18


def address_of(workspace: Workspace, generations: Sequence[Generation], **query: Any) -> str:
    """The address at which these answers stand: the first one's, `with` the others."""
    first, *others = [one.pk for one in generations]
    address = reverse("playground-answers", kwargs={"workspace": workspace.slug, "generation_id": first})
    told = {**({"with": "-".join(map(str, others))} if others else {}), **query}
    return address + ("?" + "&".join(f"{name}={value}" for name, value in told.items()) if told else "")


class AnswersPage(WorkspacePage):
    """Some generations of one question, by the methods' order; one that is not of this workspace is not there.

    POST has an adapter trained of their user, where that is what keeps other methods from answering.
    """

    template_name = "training_app/answers.html"
    title = "Playground"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        generations = _asked_together(self, context["generation_id"])
        baseline = _baseline(generations)
        # Of one that a client asked for alone, nothing is missing.
        missing = baseline is not None and not any(one.family in ADAPTING for one in generations)
        return super().get_context_data(
            question=generations[0],
            answers=shown_answers(workspace=self.workspace, generations=generations, baseline=baseline),
            baseline=baseline,
            **(_adapter_panel(self, generations) if missing else {}),
            missing=missing,
            # The one that knows most of what was asked.
            asked=_retrieved_by(generations) or generations[0],
            **context,
        )

    def post(self, request: HttpRequest, generation_id: int, **kwargs: Any) -> HttpResponse:
        """Train on the user's profile as it stands now, with the paper's hyperparameters; then lead to the answers."""
        generations = _asked_together(self, generation_id)
        question = generations[0]
        query: dict[str, Any] = {}
        try:
            with transaction.atomic():
                plan = plan_from_profile(
                    workspace=self.workspace,
                    end_user=question.end_user,
                    task=question.task,
                    base_model=question.base_model,
                    hyperparameters={},
                )
                requested = find_or_request_adapter(workspace=self.workspace, plan=plan)
            if requested.job is not None:
                query = {"training": requested.job.pk}
        except EndUser.DoesNotExist:
            raise Http404 from None
        except NothingToLearnFrom:
            messages.error(request, "This user has no documents of this task, so there is nothing to learn from.")
        except Problem as problem:
            messages.error(request, problem.detail)
        return redirect(address_of(self.workspace, generations, **query))


class AnswerCard(WorkspacePage):
    """One of the answers as it is now; what differs from the answer `against` is marked."""

    template_name = "training_app/answer.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        wanted = [context["generation_id"], *_numbers(self.request.GET.get("against", ""))[:1]]
        found = _of_one_question(self, wanted)
        baseline = found[1] if len(found) > 1 else None
        (answer,) = shown_answers(workspace=self.workspace, generations=found[:1], baseline=baseline)
        return super().get_context_data(answer=answer, baseline=baseline, **context)

    def render_to_response(self, context: dict[str, Any], **told: Any) -> HttpResponse:
        """Nothing where the page shows just this: what stands there is not read out again."""
        if self.request.GET.get("seen") == context["answer"].seen:
            return HttpResponse(status=204)
        return super().render_to_response(context, **told)


class AdapterPanel(WorkspacePage):
    """Why the methods with an adapter did not answer, and how the training goes."""

    template_name = "training_app/adapter_panel.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        generations = _asked_together(self, context["generation_id"])
        return super().get_context_data(question=generations[0], **_adapter_panel(self, generations), **context)

    def render_to_response(self, context: dict[str, Any], **told: Any) -> HttpResponse:
        """Nothing where the page shows just this."""
        if self.request.GET.get("seen") == context["seen"]:
            return HttpResponse(status=204)
        return super().render_to_response(context, **told)


def _adapter_panel(view: WorkspacePage, generations: Sequence[Generation]) -> dict[str, Any]:
    training = _training(view)
    stands = has_usable_adapter(workspace=view.workspace, generation=generations[0])
    told = view.request.GET.copy()
    told.pop("seen", None)
    return {
        "query": told.urlencode(),
        "seen": "stands" if stands else f"{training.state}-{training.progress_done}" if training else "none",
        "retrieved_by": _retrieved_by(generations),
        "training": training,
        "is_training": training is not None and training.state in UNFINISHED,
        "stands": stands,
    }


def _training(view: WorkspacePage) -> Job | None:
    numbers = _numbers(view.request.GET.get("training", ""))
    return training_job(workspace=view.workspace, job_id=numbers[0]) if numbers else None


def _asked_together(view: WorkspacePage, generation_id: int) -> list[Generation]:
    """The generation, and those that the query string names beside it."""
    found = _of_one_question(view, [generation_id, *_numbers(view.request.GET.get("with", ""))[: _MOST - 1]])
    return sorted(found, key=lambda one: (FAMILIES.index(Generation.Family(one.family)), one.pk))


def _of_one_question(view: WorkspacePage, ids: Sequence[int]) -> list[Generation]:
    """These generations; raises Http404 where one is not there, or is not of the same user and input."""
    ids = list(dict.fromkeys(ids))
    found = generations_by_ids(workspace=view.workspace, generation_ids=ids, kind=Generation.Kind.ANSWER)
    if len(found) != len(ids):
        raise Http404
    generations = [found[number] for number in ids]
    if len({(one.end_user_id, one.task, one.input) for one in generations}) > 1:
        raise Http404
    return generations


def _baseline(generations: Sequence[Generation]) -> Generation | None:
    return next((one for one in generations if one.family == Generation.Family.NONE), None)


def _retrieved_by(generations: Sequence[Generation]) -> Generation | None:
    return next((one for one in generations if one.retriever), None)


def _numbers(text: str) -> list[int]:
    """The numbers that `text` names, as "12-13"; what is no number is left out."""
    parts = text.split("-")
    return [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) <= _NUMBER_DIGITS]
