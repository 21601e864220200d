"""Two runs of one task, side by side: in what their settings differ."""

from typing import Any

from eval_app.run_settings import differences, settings_of, surroundings_of, title_of
from eval_app.views.run import OneRun
from eval_app.workspace_selectors import run_by_id, runs_of_task

_RUNS_SHOWN = 200


class RunComparePage(OneRun):
    """The run of the address beside the one that `with` names."""

    template_name = "eval_app/run_compare.html"
    title = "Two runs"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        run = self.find()
        others = [
            (one.pk, f"{title_of(one)} on {one.split.dataset.name} {one.split.split}, run {one.pk} ({one.state})")
            for one in runs_of_task(workspace=self.workspace, task=run.split.task).exclude(pk=run.pk)[:_RUNS_SHOWN]
        ]
        asked = self.request.GET.get("with", "")
        known = asked.isascii() and asked.isdecimal() and len(asked) < 19
        other = run_by_id(workspace=self.workspace, run_id=int(asked)) if known else None
        if other is not None:
            mine, theirs = settings_of(run), settings_of(other)
            context |= {
                "other": other,
                "other_heading": title_of(other),
                "settings": differences(mine, theirs),
                "same": sum(mine[name] == theirs.get(name) for name in mine),
                "surroundings": differences(surroundings_of(run), surroundings_of(other)),
                "metrics": _beside(run.metrics, other.metrics),
            }
        return super().get_context_data(
            run=run, heading=title_of(run), others=others, not_found=bool(asked) and other is None, **context
        )


def _beside(one: dict[str, float] | None, other: dict[str, float] | None) -> list[tuple[str, Any, Any]]:
    mine, theirs = one or {}, other or {}
    return [(name, mine.get(name), theirs.get(name)) for name in {**mine, **theirs}]
