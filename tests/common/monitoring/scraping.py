"""Reading what `/metrics` tells."""

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from common.monitoring.publishing import publisher


def scrape():
    """Every family by name, after this process has published what it has counted."""
    publisher.publish()
    answer = Client().get("/metrics")
    assert answer.status_code == 200, answer.content
    return {family.name: family for family in text_string_to_metric_families(answer.content.decode())}


def value(families, sample_name, **labels):
    """The sum of the samples of this name with (at least) these labels."""
    return sum(
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == sample_name and labels.items() <= sample.labels.items()
    )
