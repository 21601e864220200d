"""Fields of forms for the numbers that an experiment or a training is asked for with; each says what may be written."""

from typing import Final

from django import forms

from eval_app.experiment_settings import NUMBERS
from training_app.hyperparameters import HYPERPARAMETERS as PAPERS
from training_app.hyperparameters import Bounds

_LABELS: Final = {
    "documents_wanted": "Documents retrieved (k)",
    "users": "Users",
    "num_beams": "Beams",
    "max_input_tokens": "Input tokens at most",
    "max_output_tokens": "Output tokens at most",
}
_HELP: Final = {
    "users": "Only the first so many users of the split. Empty: all of them.",
    "max_input_tokens": "What prompts and training inputs are cut to.",
}


def _whole(label: str, *, least: int, most: int, default: int | None, help_text: str = "") -> forms.IntegerField:
    remedy = f"Write a whole number from {least} to {most}."
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        initial=default,
        required=default is not None,
        help_text=help_text,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), remedy),
    )


def number_field(name: str) -> forms.IntegerField:
    """For one of `NUMBERS`, within what is allowed to all who share the workers."""
    number = NUMBERS[name]
    least = max(number.least, int(PAPERS[name].least)) if name in PAPERS else number.least
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    return _whole(label, least=least, most=number.most_shared, default=number.default, help_text=_HELP.get(name, ""))


def hyperparameter_field(name: str) -> forms.Field:
    """For a hyperparameter of an adapter's training."""
    return bounded_field(name, PAPERS[name])


def bounded_field(name: str, bounds: Bounds) -> forms.Field:
    """For a number of that name within its bounds, which begins with its default."""
    label = name.replace("_", " ").capitalize()
    if bounds.whole:
        return _whole(label, least=int(bounds.least), most=int(bounds.most), default=int(bounds.default))
    remedy = f"Write {bounds.described}."
    return forms.FloatField(
        label=label,
        min_value=bounds.least,
        max_value=bounds.most,
        initial=bounds.default,
        widget=forms.NumberInput(attrs={"step": "any"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), remedy),
    )
