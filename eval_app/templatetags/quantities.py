"""Numbers on pages as people read them."""

from typing import Any

from django import template

from training_app.costs.words import bytes_in_words, duration_in_words, number_in_words

register = template.Library()


@register.filter
def in_bytes(value: float | None) -> str:
    """Bytes in decimal units; a dash for what is not known."""
    return "–" if value is None else bytes_in_words(value)


@register.filter
def in_time(seconds: float | None) -> str:
    """Seconds as a duration; a dash for what is not known."""
    return "–" if seconds is None else duration_in_words(seconds)


@register.filter
def in_short(value: Any) -> str:
    """A number with three digits that mean something; anything else as it is, a dash for what is not known."""
    if value is None:
        return "–"
    return number_in_words(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
