"""What forms share in which somebody of a workspace chooses a dataset, tasks and a base model."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms

from eval_app.models import Dataset
from eval_app.workspace_selectors import datasets_of, tasks_of_datasets
from training_app.base_models import base_models, default_or_none, request_default_models
from training_app.models import BaseModel
from users_app.models import Workspace

NOT_LOADED: Final = "not-loaded"
"""The code of errors that a worker mends by loading the default models."""

_DATASETS_SHOWN: Final = 1000
_MODELS_SHOWN: Final = 50


class ChoosingForm(forms.Form):
    """Its forms declare the fields `dataset`, `tasks` and `base_model`; here is what may be chosen in them."""

    def __init__(self, *args: Any, workspace: Workspace, **more: Any) -> None:
        super().__init__(*args, **more)
        self.workspace = workspace
        datasets = datasets_of(workspace=workspace).order_by("name")[:_DATASETS_SHOWN]
        self._datasets = {dataset.name: dataset for dataset in datasets}
        self._models = {str(model.pk): model for model in base_models()[:_MODELS_SHOWN]}
        shown = [(pk, f"{model.public_name} at {model.revision[:12]}") for pk, model in self._models.items()]
        self.offer("dataset", [(name, name) for name in self._datasets])
        self.offer("tasks", [(task, task) for task in tasks_of_datasets(workspace=workspace)])
        self.offer("base_model", [("", "the installation's default"), *shown])

    def offer(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """Let these be chosen in the field `name`."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    @property
    def has_datasets(self) -> bool:
        return bool(self._datasets)

    def clean_base_model(self) -> BaseModel:
        chosen: str = self.cleaned_data["base_model"]
        model = self._models[chosen] if chosen else default_or_none()
        if model is None:
            raise forms.ValidationError(
                "The default base model has not been loaded yet: a model worker does that when one is running. "
                "Start the workers, and try again in some seconds.",
                code=NOT_LOADED,
            )
        return model

    def ask_for_missing_models(self) -> None:
        """Have a worker load the default models, where one was missing."""
        if any(error.code == NOT_LOADED for errors in self.errors.as_data().values() for error in errors):
            request_default_models()

    def chosen_dataset(self) -> Dataset:
        """The dataset that was chosen. Call it on a form that is valid."""
        return self._datasets[self.cleaned_data["dataset"]]
