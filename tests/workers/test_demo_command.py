from workers.management.commands.demo import nothing_to_find


def cell(*, delta=0.0, p=1.0, control_p=1.0):
    return {"value": 0.5, "delta": delta, "p_holm": p, "control": {"value": 0.5, "p_holm": control_p}}


def table(*cells, higher_is_better=True):
    named = {f"rag:{at}": one for at, one in enumerate(cells)}
    return {"rows": [{"higher_is_better": higher_is_better, "cells": {"none": {"value": 0.5}, **named}}]}


def test_where_cells_are_alike_nothing_is_found():
    found = nothing_to_find(table(cell(delta=0.1, p=0.4), cell(control_p=0.2)))
    assert found == {
        "cells": 2,
        "least_p_holm": {"beats_none": 0.4, "differs_from_swapped": 0.2},
        "nothing_found": True,
    }


def test_a_cell_that_beats_none_is_a_finding():
    assert not nothing_to_find(table(cell(delta=0.1, p=0.001)))["nothing_found"]
    assert not nothing_to_find(table(cell(delta=-0.1, p=0.001), higher_is_better=False))["nothing_found"]


def test_a_cell_that_is_worse_than_none_is_none():
    assert nothing_to_find(table(cell(delta=-0.1, p=0.001)))["nothing_found"]
    assert nothing_to_find(table(cell(delta=0.1, p=0.001), higher_is_better=False))["nothing_found"]


def test_a_cell_that_differs_from_its_control_is_a_finding():
    assert not nothing_to_find(table(cell(control_p=0.001)))["nothing_found"]
