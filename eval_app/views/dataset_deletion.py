"""The page that says what would go with a dataset, and has it deleted."""

from typing import Any, ClassVar

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from eval_app.dataset_deletion import DeletionRefused, deletion_of, request_deletion, what_hangs_on
from eval_app.models import Dataset
from eval_app.workspace_selectors import datasets_to_delete
from jobs.models import State
from users_app.audit import actor_of_staff
from users_app.models import Membership
from users_app.views.base import WorkspacePage


class DatasetDeletionPage(WorkspacePage):
    """For the workspace's admins; while the job is under way it shows how far that is."""

    template_name = "eval_app/dataset_delete.html"
    title = "Delete a dataset"
    least_role: ClassVar[str] = Membership.Role.VIEWER
    least_role_to_change: ClassVar[str] = Membership.Role.ADMIN

    def post(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        """Ask for the deletion, where its name was typed."""
        dataset = self._dataset(dataset_id)
        if request.POST.get("name", "").strip() != dataset.name:
            messages.error(request, "That is not the dataset's name. Nothing was deleted.")
        else:
            try:
                request_deletion(workspace=self.workspace, dataset=dataset, by=actor_of_staff(request))
            except DeletionRefused as refused:
                messages.error(request, str(refused))
            except Dataset.DoesNotExist:
                raise Http404 from None
        return redirect("dataset-delete", workspace=self.workspace.slug, dataset_id=dataset_id)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        dataset_id: int = context["dataset_id"]
        job = deletion_of(workspace=self.workspace, dataset_id=dataset_id)
        if job is not None and job.state == State.DONE:
            # Whoever watched the job sees it end.
            return super().get_context_data(gone=True, **context)
        dataset = self._dataset(dataset_id)
        hanging = what_hangs_on(workspace=self.workspace, dataset=dataset) if job is None else None
        return super().get_context_data(dataset=dataset, hanging=hanging, job=job, **context)

    def _dataset(self, dataset_id: int) -> Dataset:
        dataset = datasets_to_delete(workspace=self.workspace).filter(pk=dataset_id).first()
        if dataset is None:
            raise Http404
        return dataset
