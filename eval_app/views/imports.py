"""Imports of a workspace: all of them, a new one, and one of them at whatever step it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRefresh

from common.keyset_lists import keyset_page
from common.objects import ObjectStoreError
from eval_app.dataset_imports import (
    PLACES,
    Here,
    ImportNotReady,
    cancel_work,
    choose_upload,
    create_draft,
    delete_import,
    files_here,
    place_for_upload,
    remove_file,
    request_check,
    start_import,
)
from eval_app.import_problem_files import problems_csv
from eval_app.import_requests import ImportRefused
from eval_app.import_selectors import (
    dataset_of_name,
    import_by_id,
    imports_of,
    jobs_under_way,
    open_uploads,
    problems_of,
)
from eval_app.models import DatasetImport, Upload
from eval_app.uploads import TooManyUploads
from eval_app.views.import_findings import shown_splits
from eval_app.views.import_forms import NewImportForm
from eval_app.workspace_selectors import datasets_of
from jobs.kinds import get as get_kind
from jobs.selectors import unserved_queues
from lamp.published_statistics import LICENCE, LICENCE_URL, SOURCE
from users_app.audit import actor_of_staff
from users_app.views.base import WorkspacePage

_PROBLEMS_SHOWN: Final = 100
_NAMES_SHOWN: Final = 50
_LONGEST_NAME: Final = 255
_TITLES: Final = {
    "questions": "Questions",
    "outputs": "Outputs, which are the right answers",
    "truth": "Truth of a generated benchmark",
    "archive": "Zip of the task's folder",
}
_STEPS: Final = ("Files", "Check", "Import", "Report")
_STEP_OF: Final = {
    DatasetImport.State.DRAFT: 0,
    DatasetImport.State.CHECKING: 1,
    DatasetImport.State.CHECKED: 1,
    DatasetImport.State.IMPORTING: 2,
    DatasetImport.State.DONE: 3,
    DatasetImport.State.FAILED: 3,
    DatasetImport.State.CANCELLED: 3,
}
_UNDER_WAY: Final = (DatasetImport.State.CHECKING, DatasetImport.State.IMPORTING)


class ImportsPage(WorkspacePage):
    """All of them, drafts too, the newest first; of one state where the query string says so."""

    template_name = "eval_app/imports.html"
    title = "Imports"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        imports = imports_of(workspace=self.workspace)
        state = self.request.GET.get("state", "")
        if state in DatasetImport.State.values:
            imports = imports.filter(state=state)
        page = keyset_page(imports, order=("-pk",), query=self.request.GET, bound_to=f"imports {self.workspace.pk}")
        return super().get_context_data(page=page, states=DatasetImport.State.values, state=state, **context)


class NewImportPage(WorkspacePage):
    """Where an import begins: it says what is to come, and makes the draft."""

    template_name = "eval_app/import_new.html"
    title = "New import"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        if "form" not in context:
            context["form"] = NewImportForm(initial={"dataset": self.request.GET.get("dataset", "")[:100]})
        known = datasets_of(workspace=self.workspace).order_by("-pk").values_list("name", flat=True)[:_NAMES_SHOWN]
        return super().get_context_data(known=list(known), licence=LICENCE, licence_url=LICENCE_URL, **context)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = NewImportForm(request.POST)
        if form.is_valid():
            try:
                draft = create_draft(workspace=self.workspace, by=actor_of_staff(request), **form.cleaned_data)
                return redirect("import", workspace=self.workspace.slug, dataset_import_id=draft.pk)
            except ImportRefused as refused:
                form.add_error("dataset", str(refused))
        return self.render_to_response(self.get_context_data(form=form), status=422)


class _OfOneImport(WorkspacePage):
    """A page of one import of the workspace."""

    dataset_import: DatasetImport

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self._number = kwargs.pop("dataset_import_id")
        return super().dispatch(request, *args, **kwargs)

    def find(self) -> DatasetImport:
        """The import that the address names; raises `Http404`."""
        found = import_by_id(workspace=self.workspace, dataset_import_id=self._number)
        if found is None:
            raise Http404
        self.dataset_import = found
        return found

    @property
    def address(self) -> str:
        """Of the import's own page."""
        return reverse("import", kwargs={"workspace": self.workspace.slug, "dataset_import_id": self._number})


class ImportPage(_OfOneImport):
    """One import: its files, what their check found, its progress, its report."""

    template_name = "eval_app/import.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        found = self.find()
        self.title = f"Import of {found.dataset}"
        stands_still = found.state not in _UNDER_WAY and found.state != DatasetImport.State.DONE
        problem_count = sum(finding["problems"] for finding in found.findings or [])
        return super().get_context_data(
            one=found,
            steps=[(title, at == _STEP_OF[DatasetImport.State(found.state)]) for at, title in enumerate(_STEPS)],
            under_way=found.state in _UNDER_WAY,
            stands_still=stands_still,
            splits=shown_splits(found.findings, found.samples),
            problems=list(problems_of(dataset_import=found)[:_PROBLEMS_SHOWN]),
            problem_count=problem_count,
            can_start=found.state == DatasetImport.State.CHECKED and not problem_count,
            dataset=dataset_of_name(workspace=self.workspace, name=found.dataset),
            licence=LICENCE,
            licence_url=LICENCE_URL,
            source_of_statistics=SOURCE,
            **(self._files(found) if stands_still else {}),
            **(progress_of(found) if found.state in _UNDER_WAY else {}),
            **context,
        )

    def _files(self, found: DatasetImport) -> dict[str, Any]:
        here: list[Here] = []
        away = ""
        try:
            here = files_here(dataset_import=found)
        except ObjectStoreError as error:
            away = str(error)
        by_place = {file.place: file for file in here}
        places = PLACES[found.source]
        return {
            "places": [
                {
                    "name": place,
                    "title": _TITLES[place],
                    "required": place == places[0],
                    "file": by_place.get(place),
                    "is_gone": place in found.files and place not in by_place and not away,
                }
                for place in places
            ],
            "can_check": places[0] in by_place and all(file.whole for file in here),
            "store_away": away,
            "open_uploads": [
                upload
                for upload in open_uploads(workspace=self.workspace)[: settings.UPLOADS_AT_ONCE]
                if upload.pk not in {file.upload_id for file in here}
            ],
            "most_bytes": settings.UPLOAD_MAX_BYTES,
        }

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do what the pressed button says, and show the page again."""
        self.find()
        steps: Mapping[str, Callable[[HttpRequest], object]] = {
            "check": self._check,
            "start": self._start,
            "cancel": self._cancel,
            "choose": self._choose,
            "remove": self._remove,
            "delete": self._delete,
        }
        step = steps.get(request.POST.get("step", ""))
        if step is None:
            return HttpResponse("There is no such step. Load the page again.", status=400, content_type="text/plain")
        try:
            if step(request) is _GONE:
                messages.success(request, "The import is deleted.")
                return redirect("imports", workspace=self.workspace.slug)
        except (ImportNotReady, ImportRefused, ObjectStoreError) as error:
            messages.error(request, str(error))
        except DatasetImport.DoesNotExist:
            raise Http404 from None
        except Upload.DoesNotExist:
            messages.error(request, "That file is not in the object store any more. Choose another, or upload it.")
        return redirect(self.address)

    def _check(self, request: HttpRequest) -> None:
        request_check(workspace=self.workspace, dataset_import_id=self._number)

    def _start(self, request: HttpRequest) -> None:
        start_import(workspace=self.workspace, dataset_import_id=self._number, by=actor_of_staff(request))

    def _cancel(self, request: HttpRequest) -> None:
        cancel_work(workspace=self.workspace, dataset_import_id=self._number)

    def _choose(self, request: HttpRequest) -> None:
        choose_upload(
            workspace=self.workspace,
            dataset_import_id=self._number,
            place=request.POST.get("place", ""),
            upload_id=_number(request.POST.get("upload", "")) or 0,
        )

    def _remove(self, request: HttpRequest) -> None:
        place = request.POST.get("place", "")
        remove_file(workspace=self.workspace, dataset_import_id=self._number, place=place)

    def _delete(self, request: HttpRequest) -> object:
        delete_import(workspace=self.workspace, dataset_import_id=self._number)
        return _GONE


class ImportUpload(_OfOneImport):
    """Where a browser asks where to put a file."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.find()
        return redirect(self.address)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = _file_name(request.POST.get("name", ""))
        size = _number(request.POST.get("size", ""))
        self.find()
        if not size:
            return _refused("The file is empty. Choose another.", status=422)
        if size > settings.UPLOAD_MAX_BYTES:
            most = f"{settings.UPLOAD_MAX_BYTES:,}"
            return _refused(f"The file has more than {most} bytes. Split it into several splits' files.", status=422)
        place = request.POST.get("place", "")
        try:
            address = place_for_upload(
                workspace=self.workspace, dataset_import_id=self._number, place=place, name=name, size=size
            )
        except DatasetImport.DoesNotExist:
            raise Http404 from None
        except ImportNotReady as error:
            return _refused(str(error), status=409)
        except TooManyUploads as error:
            return _refused(f"{error} Delete an import that nobody needs, with its files.", status=409)
        except ObjectStoreError as error:
            return _refused(str(error), status=503)
        return JsonResponse({"url": address.url})


class ImportProgress(_OfOneImport):
    """How far the check or the import is: a part of the page, asked for again and again."""

    template_name = "eval_app/import_progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        found = self.find()
        if not getattr(request, "htmx", False):
            return redirect(self.address)
        if found.state != request.GET.get("state"):
            return HttpResponseClientRefresh()
        return self.render_to_response(self.get_context_data(one=found, **progress_of(found)))


class ImportProblems(_OfOneImport):
    """All that the check found to be wrong, as a file."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = self.find()
        answer = StreamingHttpResponse(
            problems_csv(problems_of(dataset_import=found)), content_type="text/csv; charset=utf-8"
        )
        answer.headers["Content-Disposition"] = f'attachment; filename="import-{found.pk}-problems.csv"'
        return answer


def progress_of(found: DatasetImport) -> dict[str, Any]:
    """What the template of the progress needs to know."""
    jobs = jobs_under_way(dataset_import=found)
    return {
        "jobs": jobs,
        "nobody_works": any(job.state == "waiting" for job in jobs)
        and bool(unserved_queues([get_kind(jobs[0].kind).queue])),
    }


_GONE: Final = object()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def _file_name(text: str) -> str:
    """What the browser calls the file, without what could not stand in a message."""
    name = "".join(character for character in text if character.isprintable()).strip()[-_LONGEST_NAME:]
    return name or "file"


def _refused(message: str, *, status: int) -> JsonResponse:
    return JsonResponse({"message": message}, status=status)
