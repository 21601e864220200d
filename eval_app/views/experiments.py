"""The experiments of a workspace."""

from typing import Any

from common.keyset_lists import keyset_page
from eval_app.models import Experiment
from eval_app.workspace_selectors import ColumnCounts, column_counts, experiments_of
from users_app.views.base import WorkspacePage


class ExperimentsPage(WorkspacePage):
    """All of them, the newest first; of one state where the query string says so."""

    template_name = "eval_app/experiments.html"
    title = "Experiments"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        state = self.request.GET.get("state", "")
        experiments = experiments_of(workspace=self.workspace).select_related("dataset").defer("report")
        if state in Experiment.State.values:
            experiments = experiments.filter(state=state)
        page = keyset_page(
            experiments, order=("-pk",), query=self.request.GET, bound_to=f"experiments {self.workspace.pk}"
        )
        counts = column_counts(experiments=page.rows)
        rows = [(one, counts.get(one.pk, ColumnCounts(0, 0, 0))) for one in page.rows]
        return super().get_context_data(page=page, rows=rows, states=Experiment.State.values, state=state, **context)
