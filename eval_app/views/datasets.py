"""The datasets of a workspace, and one of them."""

from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.keyset_lists import keyset_page
from eval_app.import_selectors import newest_of_splits
from eval_app.workspace_selectors import (
    datasets_of,
    datasets_to_delete,
    experiments_of,
    newest_of_each_split,
    splits_of,
)
from users_app.views.base import WorkspacePage

_EXPERIMENTS: Final = 20


class DatasetsPage(WorkspacePage):
    """All of them, the newest first, each with its splits; also those that are being deleted, until they are gone."""

    template_name = "eval_app/datasets.html"
    title = "Datasets"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        page = keyset_page(
            datasets_to_delete(workspace=self.workspace),
            order=("-pk",),
            query=self.request.GET,
            bound_to=f"datasets {self.workspace.pk}",
        )
        splits = newest_of_splits(datasets=page.rows)
        rows = [(dataset, splits[dataset.pk]) for dataset in page.rows]
        return super().get_context_data(page=page, rows=rows, **context)


class DatasetPage(WorkspacePage):
    """One dataset: the versions of its splits, and the experiments of it."""

    template_name = "eval_app/dataset.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Of one that is being deleted, how far that is."""
        dataset_id: int = kwargs["dataset_id"]
        deleted = datasets_to_delete(workspace=self.workspace).filter(deletion_requested_at__isnull=False)
        if deleted.filter(pk=dataset_id).exists():
            return redirect("dataset-delete", workspace=self.workspace.slug, dataset_id=dataset_id)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        dataset = datasets_of(workspace=self.workspace).filter(pk=context["dataset_id"]).first()
        if dataset is None:
            raise Http404
        self.title = dataset.name
        newest = newest_of_each_split(dataset=dataset)
        experiments = experiments_of(workspace=self.workspace).filter(dataset=dataset).order_by("-pk")
        return super().get_context_data(
            dataset=dataset,
            newest=newest,
            newest_ids={split.pk for split in newest},
            page=keyset_page(
                splits_of(dataset=dataset), order=("-pk",), query=self.request.GET, bound_to=f"splits {dataset.pk}"
            ),
            experiments=list(experiments[:_EXPERIMENTS]),
            **context,
        )
