"""The Grafana board and the alert rules: well-formed, and about numbers that `/metrics` tells."""

import json
import re

import pytest
import yaml

from tests.common.monitoring.scraping import scrape
from tests.servers import REPOSITORY

FOLDER = REPOSITORY / "docs" / "operations"
# Of a scrape with the samples that each type has.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


def alerts():
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return group["rules"]


def panels():
    return json.loads((FOLDER / "grafana.json").read_text())["panels"]


def expressions():
    of_alerts = [(rule["alert"], rule["expr"]) for rule in alerts()]
    of_panels = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return of_alerts + of_panels


@pytest.fixture
def told(transactional_db):
    """The samples that `/metrics` tells, with the labels of their families where there are any yet."""
    return {family.name + suffix for family in scrape().values() for suffix in SUFFIXES[family.type]}


def test_every_number_that_is_named_is_told(told):
    named = {(where, name) for where, expr in expressions() for name in re.findall(r"\blamppost_\w+", expr)}
    assert len({name for _, name in named}) > 10
    assert {(where, name) for where, name in named if name not in told} == set()


def test_every_number_that_is_told_is_on_the_board(told):
    on_board = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in told}
    assert {family for family in families if not re.search(rf"\b{family}", on_board)} == {"lamppost_build_info"}


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_brackets_are_closed(where, expression):
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    assert expression.count('"') % 2 == 0


def test_each_alert_says_how_bad_it_is_and_what_to_do():
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)


def test_each_alert_is_explained():
    guide = (REPOSITORY / "docs" / "monitoring.md").read_text()
    assert [rule["alert"] for rule in alerts() if rule["alert"] not in guide] == []


def test_panels_have_places_of_their_own():
    taken = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
