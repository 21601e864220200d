"""What a person asks on the playground, and where on the form each problem with it is said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from common.api.problems import Problem, pointer
from retrieval_app.retrievers import (
    BM25,
    CONTRIEVER,
    FINE_TUNED,
    RECENCY,
    ROPG_KD,
    ROPG_RL,
    RSPG_POST,
    RSPG_PRE,
    SELECTING,
    TITLES,
)
from retrieval_app.trained_models import trained_models
from training_app.asking import (
    BEAMS_DEFAULT,
    BEAMS_MOST,
    DOCUMENTS_DEFAULT,
    DOCUMENTS_MOST,
    INPUT_CHARACTERS_MOST,
    Question,
    question,
)
from training_app.base_models import base_models, default_or_none, models_named
from training_app.models import BaseModel
from training_app.side_by_side import FAMILIES, RETRIEVING
from users_app.models import EndUser, Workspace
from users_app.selectors import end_user_by_external_id
from users_app.tasks import TaskVersion

FIELDS, WHOLE = "fields", "whole"
_FORMS: Final = ((FIELDS, "Fill in the task's fields"), (WHOLE, "Write the whole input"))
_RETRIEVERS: Final = {
    BM25: "BM25 (words in common)",
    RECENCY: "Recency (the newest documents)",
    CONTRIEVER: "Contriever (meaning)",
    ROPG_KD: "ROPG-KD (meaning, as the base model's scores taught)",
    ROPG_RL: "ROPG-RL (meaning, as the base model's rewards taught)",
    RSPG_PRE: "RSPG-Pre (chooses one of several by their prompts)",
    RSPG_POST: "RSPG-Post (tries several, chooses by their answers)",
}
_MODELS_SHOWN: Final = 50
_USER_CHARACTERS: Final = 255
_PREFIX: Final = "field-"


@dataclass(frozen=True)
class RetrieverOption:
    """A retriever that may be chosen. `why_not` is said where it cannot be used as the form stands, else empty."""

    name: str
    why_not: str
    is_selected: bool

    @property
    def label(self) -> str:
        """What it does or, where it cannot be used, why not: a list that is closed shows no more of it."""
        return f"{TITLES[self.name]}: {self.why_not}" if self.why_not else _RETRIEVERS[self.name]


class TextField(forms.CharField):
    """A longer text as it was typed, with the line ends that texts have elsewhere: browsers send others."""

    def __init__(self, *, rows: int, **told: Any) -> None:
        super().__init__(
            required=False,
            strip=False,
            max_length=INPUT_CHARACTERS_MOST,
            widget=forms.Textarea(attrs={"rows": rows}),
            **told,
        )

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class QuestionForm(forms.Form):
    """A user, a task, an input, and how to answer. The task's own fields are named `field-NAME`."""

    user = forms.CharField(
        max_length=_USER_CHARACTERS,
        help_text="The id by which your programs call them. Type its beginning to find one.",
    )
    task = forms.ChoiceField()
    form = forms.ChoiceField(choices=_FORMS, initial=FIELDS, label="Input", widget=forms.RadioSelect)
    input = TextField(rows=5, label="Whole input", help_text="As the model shall see it, before anything is retrieved.")
    retriever = forms.ChoiceField(choices=list(_RETRIEVERS.items()), initial=BM25, help_text="For RAG and PEFT-RAG.")
    k = forms.IntegerField(
        min_value=1, max_value=DOCUMENTS_MOST, initial=DOCUMENTS_DEFAULT, label="Documents (k)", help_text="At most."
    )
    base_model = forms.ChoiceField(required=False)
    num_beams = forms.IntegerField(min_value=1, max_value=BEAMS_MOST, initial=BEAMS_DEFAULT, label="Beams")

    def __init__(self, data: Mapping[str, Any] | None = None, *, tasks: Iterable[TaskVersion], **told: Any) -> None:
        """`tasks` are those of the workspace."""
        super().__init__(data, use_required_attribute=False, label_suffix="", **told)
        self._tasks = {one.task.key: one.task for one in tasks}
        self.fields["task"].choices = [(key, f"{key}: {task.title}") for key, task in self._tasks.items()]  # type: ignore[attr-defined]
        names = dict.fromkeys(one.public_name for one in base_models()[:_MODELS_SHOWN])
        self.fields["base_model"].choices = [("", "The installation's default"), *((name, name) for name in names)]  # type: ignore[attr-defined]
        chosen = str(self["task"].value() or "")
        self.shown_task = self._tasks.get(chosen) or next(iter(self._tasks.values()))
        for name in dict.fromkeys(self.shown_task.input.fields):
            self.fields[_PREFIX + name] = TextField(rows=3, label=name.replace("_", " ").capitalize())

    def task_fields(self) -> list[forms.BoundField]:
        """The fields of the task that is chosen."""
        return [self[name] for name in self.fields if name.startswith(_PREFIX)]

    def retriever_options(self, *, workspace: Workspace) -> list[RetrieverOption]:
        """Every retriever; of those that a training makes, which `workspace` has for the chosen task and base model."""
        chosen = str(self["retriever"].value() or BM25)
        trained: set[str] = set()
        base_model = self._shown_base_model()
        if base_model is not None:
            fitting = trained_models(workspace=workspace).filter(
                tasks__contains=[self.shown_task.key], base_model=f"{base_model.name}@{base_model.revision}"
            )
            trained = set(fitting.order_by().values_list("kind", flat=True).distinct())
        why_not = f"none trained for {self.shown_task.key} and this base model"
        return [
            RetrieverOption(
                name,
                why_not=why_not if name in FINE_TUNED | SELECTING and name not in trained else "",
                is_selected=name == chosen,
            )
            for name in _RETRIEVERS
        ]

    def _shown_base_model(self) -> BaseModel | None:
        """The base model that is chosen; None for one that is not listed, or that no worker has loaded yet."""
        name = str(self["base_model"].value() or "")
        if not name:
            return default_or_none()
        is_listed = name in dict(self.fields["base_model"].choices)  # type: ignore[attr-defined]
        return models_named(name).first() if is_listed else None

    def clean(self) -> dict[str, Any]:
        """Refuse fields of which none is filled in: a program may mean that, a person has forgotten them."""
        values = self.cleaned_data
        typed = [values.get(name, "") for name in self.fields if name.startswith(_PREFIX)]
        if values.get("form") == FIELDS and not any(text.strip() for text in typed):
            self.add_error("form", "Fill in the fields, or write the whole input.")
        return values

    def questions(self, *, workspace: Workspace) -> list[Question]:
        """The question by each method, of a form that is valid so far; empty with errors at their fields.

        Raises `Problem` where it is not about a field. Call it outside of a transaction.
        """
        # What is wrong goes from `cleaned_data` as it is found, and the next method is asked about it too.
        values = dict(self.cleaned_data)
        end_user = end_user_by_external_id(workspace=workspace, external_id=values["user"])
        if end_user is None:
            self.add_error("user", "There is no such user in this workspace.")
            return []
        questions = []
        for family in FAMILIES:
            try:
                questions.append(self._question(family, end_user, values))
            except Problem as problem:
                self.add_problem(problem)
        return [] if self.errors else questions

    def add_problem(self, problem: Problem) -> None:
        """Say at their fields what the problem says of the request's parts; raises it where it says it of none."""
        if not problem.errors:
            raise problem
        for error in problem.errors:
            name = self._named(error.field)
            text = f"{error.message} {error.remedy}"
            if text not in self.errors.get(name or NON_FIELD_ERRORS, []):
                self.add_error(name, text)

    def _question(self, family: str, end_user: EndUser, values: Mapping[str, Any]) -> Question:
        retrieval = {"retriever": values["retriever"], "k": values["k"]} if family in RETRIEVING else {}
        text = (
            {"input": values["input"]}
            if values["form"] == WHOLE
            else {"fields": {name: values[_PREFIX + name] for name in self.shown_task.input.fields}}
        )
        return question(
            end_user=end_user,
            task=values["task"],
            method=family,
            base_model=values["base_model"] or None,
            num_beams=values["num_beams"],
            **text,
            **retrieval,
        )

    def _named(self, place: str) -> str | None:
        """The form's field for a JSON pointer into the request, None where it has none of its own."""
        for name in self.fields:
            here = name.removeprefix(_PREFIX)
            if place == (pointer("fields", here) if name != here else pointer(name)):
                return name
        return "form" if place in ("/fields", "") else None
