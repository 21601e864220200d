"""The form in which a training over many users is put together: what may be typed, and what it comes to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.http import QueryDict

from eval_app.asked_trainings import kinds_to_train, needs_encoder
from eval_app.experiment_settings import search_parameters
from eval_app.models import ModelTraining
from eval_app.selector_runs import DEFAULT_POOL
from eval_app.training_kinds import how_to_train
from eval_app.views.choosing_forms import NOT_LOADED, ChoosingForm
from eval_app.views.number_fields import bounded_field, number_field
from retrieval_app.encoders import default_encoder
from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import POOL_TITLES, SELECTING
from training_app.base_models import default_dtype
from users_app.models import Workspace

# Hyperparameters stand in fields of their own names after this, so that none is taken for another setting.
_OWN: Final = "own_"
_KINDS: Final[Mapping[str, str]] = {
    TrainedModel.Kind.RSPG_PRE: "RSPG-Pre: a selector that reads the prompts",
    TrainedModel.Kind.RSPG_POST: "RSPG-Post: a selector that reads the prompts and the answers to them",
    TrainedModel.Kind.ROPG_KD: "ROPG-KD: an encoder, distilled from how much each document helps",
    TrainedModel.Kind.ROPG_RL: "ROPG-RL: an encoder, rewarded for documents that help",
}
_SEARCH: Final = ("documents_wanted", "num_beams", "max_input_tokens", "max_output_tokens")
# The fields in which a refusal is shown, by what it is about; any other stands above the form.
REFUSED_AT: Final[Mapping[str, str]] = {
    "kind": "kind",
    "dataset": "dataset",
    "split": "dataset",
    "tasks": "tasks",
    "base_model": "base_model",
    "encoder": "pool",
    "pool": "pool",
    "documents_wanted": "documents_wanted",
    "user_limit": "users",
}


class ModelTrainingForm(ChoosingForm):
    """What a training is asked for with, in one workspace. Reading and checking it makes nothing."""

    kind = forms.ChoiceField(error_messages={"invalid_choice": "No model of that kind is trained here."})
    dataset = forms.ChoiceField(
        help_text="It is trained on the train split, and the best step picked on the dev split.",
        error_messages={
            "required": "Choose a dataset; import one first where there is none.",
            "invalid_choice": "There is no such dataset here any more. Choose one that is listed.",
        },
    )
    tasks = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="A selector serves all that are chosen, though the published ones are of one task each; an encoder "
        "has one. None chosen: every task that the dataset has both splits of.",
        error_messages={"invalid_choice": "No dataset here has the task %(value)s. Choose among those listed."},
    )
    pool = forms.MultipleChoiceField(
        choices=list(POOL_TITLES.items()),
        initial=list(DEFAULT_POOL),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What it chooses among. Recency needs dates; the ROPG encoders must have been trained for the tasks.",
        error_messages={"invalid_choice": "A pool holds no %(value)s. Choose among those listed."},
    )
    base_model = forms.ChoiceField(
        required=False,
        help_text="Whose feedback is learned from, and with which the model is then used.",
        error_messages={"invalid_choice": "That base model is not known here. Choose one that is listed."},
    )
    users = number_field("users")
    documents_wanted = number_field("documents_wanted")
    num_beams = number_field("num_beams")
    max_input_tokens = number_field("max_input_tokens")
    max_output_tokens = number_field("max_output_tokens")
    seed = number_field("seed")
    exact = forms.BooleanField(
        required=False, label="Exact: one row a pass, so that the same bytes can be made again; slower"
    )

    def __init__(self, *args: Any, workspace: Workspace, **more: Any) -> None:
        super().__init__(*args, workspace=workspace, **more)
        kinds = kinds_to_train()
        asked = self.data.get("kind") if self.is_bound else self.initial.get("kind")
        self.chosen_kind = next((one for one in kinds if one == asked), kinds[0])
        self._hyperparameters = how_to_train(self.chosen_kind).hyperparameters
        self.offer("kind", [(kind, _KINDS[kind]) for kind in kinds])
        self.initial["kind"] = self.chosen_kind.value
        if not self.selects:
            del self.fields["pool"]
        for name, bounds in self._hyperparameters.items():
            field = bounded_field(name, bounds)
            field.required = False
            self.fields[_OWN + name] = field

    @property
    def selects(self) -> bool:
        """Whether it is a selector that is trained, which has a pool."""
        return self.chosen_kind in SELECTING

    @property
    def search_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in _SEARCH]

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """The hyperparameters of the kind."""
        return [self[_OWN + name] for name in self._hyperparameters]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.selects and "pool" in cleaned and len(cleaned["pool"]) < 2:
            self.add_error("pool", "Choose two retrievers at least: among one there is nothing to choose.")
        elif self.needs_encoder() and default_encoder() is None:
            self.add_error(
                "pool" if self.selects else None,
                forms.ValidationError(
                    "The encoder that dense retrieval needs has not been loaded yet: a model worker does that when one "
                    "is running. Try again in some seconds.",
                    code=NOT_LOADED,
                ),
            )
        return cleaned

    def needs_encoder(self) -> bool:
        return needs_encoder(self.chosen_kind, self.cleaned_data.get("pool", []))

    def asked(self) -> dict[str, Any]:
        """What `eval_app.asked_trainings.ask_for_training` takes, but by whom."""
        cleaned = self.cleaned_data
        own = {name: cleaned[_OWN + name] for name in self._hyperparameters}
        return {
            "workspace": self.workspace,
            "kind": self.chosen_kind.value,
            "dataset": self.chosen_dataset(),
            "tasks": cleaned["tasks"] or None,
            "base_model": cleaned["base_model"],
            "encoder": default_encoder() if self.needs_encoder() else None,
            "pool": cleaned.get("pool", []),
            "documents_wanted": cleaned["documents_wanted"],
            "parameters": search_parameters(
                **{name: cleaned[name] for name in (*_SEARCH[1:], "exact")}, dtype=default_dtype()
            ),
            "hyperparameters": {name: value for name, value in own.items() if value is not None},
            "seed": cleaned["seed"],
            "user_limit": cleaned["users"],
        }


def initial_of_query(query: QueryDict) -> dict[str, Any]:
    """What the form begins with, as a query string says it: an address may say a whole form."""
    known = [name for name in query if name in ModelTrainingForm.base_fields or name.startswith(_OWN)]
    return {name: query.getlist(name) if name in ("tasks", "pool") else query[name] for name in known}


def initial_of_training(training: ModelTraining) -> dict[str, Any]:
    """What the form begins with to make another like `training`."""
    pool: Sequence[Mapping[str, str]] = training.pool
    return {
        **{_OWN + name: value for name, value in training.hyperparameters.items()},
        **{name: training.parameters[name] for name in (*_SEARCH[1:], "exact") if name in training.parameters},
        "kind": training.kind,
        "dataset": training.dataset.name,
        "tasks": training.tasks,
        "pool": [member["retriever"] for member in pool],
        "base_model": str(training.base_model_id),
        "users": training.user_limit,
        "documents_wanted": training.documents_wanted,
        "seed": training.seed,
    }
