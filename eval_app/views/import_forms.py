"""What a page asks for to begin an import."""

from typing import Any, Final

from django import forms

from eval_app.models import DatasetImport, DatasetSplit, Separation
from lamp.catalogue import CATALOGUE

_SLUG: Final = "Use letters, digits, hyphens and underscores alone."


class NewImportForm(forms.Form):
    """A dataset's name, a split of it, and where the files come from."""

    dataset = forms.SlugField(
        max_length=100,
        error_messages={"invalid": _SLUG},
        help_text=f"Made where there is none of that name. {_SLUG}",
        widget=forms.TextInput(attrs={"list": "known-datasets", "autocomplete": "off"}),
    )
    source = forms.ChoiceField(
        label="Files",
        choices=[
            (DatasetImport.Source.FILES, "The files of one split: questions, and the outputs if there are any"),
            (DatasetImport.Source.ARCHIVE, "A zip of one task's folder, with the files of its splits in it"),
        ],
        initial=DatasetImport.Source.FILES,
        widget=forms.RadioSelect,
    )
    split = forms.ChoiceField(
        choices=[("", "every split of the zip"), *((name, name) for name in DatasetSplit.Split.values)],
        initial=DatasetSplit.Split.DEV,
        required=False,
    )
    task = forms.ChoiceField(
        choices=[("", "recognise it"), *((key, f"{key} {task.title}") for key, task in CATALOGUE.items())],
        required=False,
        help_text="Files of another task are then refused.",
    )
    separation = forms.ChoiceField(
        choices=[("", "recognise it"), *((choice.value, str(choice.label)) for choice in Separation)],
        required=False,
    )
    keep_source = forms.BooleanField(
        label="Keep the files beside the split",
        required=False,
        help_text="They go when one of the people in them is erased.",
    )

    def clean(self) -> dict[str, Any]:
        told = super().clean() or self.cleaned_data
        if told.get("source") == DatasetImport.Source.FILES and not told.get("split"):
            self.add_error("split", "Say which split these files are: train, dev or test.")
        return told
