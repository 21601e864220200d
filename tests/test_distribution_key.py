"""Every table with a user's data carries the end user, and finds one user's rows by it: ready to be spread by it."""

import pytest
from django.apps import apps
from django.db import models

from jobs.models import Job
from users_app.models import EndUser

# Those that may do without an index led by the end user, and why.
WITHOUT_INDEX = {
    Job: "Only an erasure looks for a user's jobs, among what a retention bounds; of an index every claim would pay.",
}


def models_with_users_data() -> list[type[models.Model]]:
    """Every model from which a chain of foreign keys, or a column of the name, leads to an end user."""
    found: set[type[models.Model]] = {EndUser}
    while True:
        more = {
            model
            for model in apps.get_models()
            for field in model._meta.concrete_fields
            if field.attname == "end_user_id" or (field.is_relation and field.related_model in found)
        }
        if more <= found:
            return sorted(found - {EndUser}, key=lambda model: model._meta.label)
        found |= more


def columns_first_in_an_index(model: type[models.Model]) -> set[str]:
    """The columns that lead an index over all rows that have the column at all."""
    led = {field.attname for field in model._meta.concrete_fields if field.db_index or field.unique}
    uniques = [one for one in model._meta.constraints if isinstance(one, models.UniqueConstraint)]
    for one in [*model._meta.indexes, *uniques]:
        names = [*one.fields, *(expression.name for expression in one.expressions if hasattr(expression, "name"))]
        if not names:
            continue
        field = model._meta.get_field(names[0].removeprefix("-"))
        everywhere = one.condition is None or one.condition == models.Q(**{f"{field.name}__isnull": False})
        if everywhere or one.condition == models.Q(**{f"{field.attname}__isnull": False}):
            led.add(field.attname)
    return led


def test_the_tables_that_are_looked_for_include_those_we_know():
    known = {"Document", "Embedding", "Adapter", "Generation", "Question", "Prediction", "Job", "IdempotencyRecord"}
    assert known <= {model.__name__ for model in models_with_users_data()}


@pytest.mark.parametrize("model", models_with_users_data(), ids=lambda model: model._meta.label)
def test_a_table_with_users_data_carries_the_end_user(model):
    assert "end_user_id" in {field.attname for field in model._meta.concrete_fields}


@pytest.mark.parametrize(
    "model",
    [model for model in models_with_users_data() if model not in WITHOUT_INDEX],
    ids=lambda one: one._meta.label,
)
def test_one_users_rows_are_found_by_an_index(model):
    assert "end_user_id" in columns_first_in_an_index(model)


def test_whoever_needs_no_index_has_none():
    assert [model for model in WITHOUT_INDEX if "end_user_id" in columns_first_in_an_index(model)] == []
