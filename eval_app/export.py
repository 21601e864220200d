"""The comparison table as JSON, CSV, Markdown and LaTeX.

Names and reasons may come from users, so each form escapes what it would otherwise read as a command.
"""

import csv
import io
import json
import re

from eval_app.choosing import Choosing
from eval_app.layout import (
    METRIC_TITLE,
    N_TITLE,
    TASK_TITLE,
    Notes,
    average_line,
    begins_task,
    cells_of,
    chosen_line,
    is_best,
    legend,
    notes_of,
    number,
    published_cells,
    reference_average_line,
    reference_title,
    stars,
    unbounded_line,
    value_text,
)
from eval_app.methods import NONE
from eval_app.published import COLUMNS, TABLE_1
from eval_app.supplements import Supplement, supplements_of
from eval_app.table import Cell, Control, Row, Share, Table, table_as_json

CSV_COLUMNS = (
    "task",
    "metric",
    "higher_is_better",
    "method",
    "title",
    "value",
    "n",
    "users",
    "low",
    "high",
    "delta",
    "relative_gain",
    "p_value",
    "p_holm",
    "best",
    "wins",
    "ties",
    "losses",
    "remark",
    "published",
)

SHARE_COLUMNS = ("oracle", "share_of_possible", "share_remark")
"""What stands in a CSV besides where some row has an oracle."""

CONTROL_COLUMNS = (
    "swapped_value",
    "swapped_n",
    "swapped_p_value",
    "swapped_p_holm",
    "swapped_share_of_possible",
    "swapped_remark",
)
"""What stands in a CSV besides where some cell has a control."""

CHOOSING_COLUMNS = (
    "chosen",
    "best_single",
    "best_single_value",
    "pool_oracle",
    "share_of_gap",
    "choosing_p_value",
    "choosing_p_holm",
    "choosing_remark",
)
"""What stands in a CSV besides where some method chooses among retrievers; `chosen` is "bm25 12; recency 30"."""

BEST_COLUMNS = ("best_retriever",)
"""What stands in a CSV besides where some method took the best retriever."""

SPREAD_COLUMNS = ("seeds", "seeds_mean", "seeds_deviation", "seeds_gain", "seeds_relative_gain")
"""What stands in a CSV besides where other seeds were averaged."""

BASELINE_COLUMNS = ("baseline",)
"""What stands in a CSV besides where the baseline is another than no personalization."""

_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r\n]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "±": r"$\pm$",
    "…": r"\ldots{}",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#$&])")


def to_json(table: Table) -> str:
    """The report's form (see `table.table_as_json`) as text; never holds NaN."""
    return json.dumps(table_as_json(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(table: Table) -> str:
    """One line a cell, with full precision; what controls and an oracle add stands at the end of the lines.

    Text that a spreadsheet would run as a formula begins with an apostrophe; numbers are bare.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns = _csv_columns(table)
    writer.writerow(columns)
    for row in table.rows:
        for method, cell in zip(table.columns, cells_of(table, row), strict=True):
            values = _csv_line(row, method.key, method.title, cell) | {"baseline": table.baseline.key}
            writer.writerow([_csv_value(values[column]) for column in columns])
    if table.reference:
        for line in TABLE_1:
            for method, value in zip(COLUMNS, line.values, strict=True):
                known = {"method": method.key, "title": method.title, "value": value, "published": True}
                known |= {"task": line.task, "metric": line.metric, "higher_is_better": line.higher_is_better}
                writer.writerow([_csv_value(known.get(column)) for column in columns])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """A table in GitHub's Markdown: the best of each row bold, arrows for the metric's direction, remarks below."""
    notes = notes_of(table)
    heads = [TASK_TITLE, METRIC_TITLE, N_TITLE, *(_markdown(method.title) for method in table.columns)]
    lines = _markdown_head(heads, left=2)
    for row in table.rows:
        values = [_markdown_cell(cell, row, notes) for cell in cells_of(table, row)]
        lines.append(_markdown_row([_markdown(row.task.key), _metric(row), str(row.n), *values]))
    lines += ["", "**Bold**: best of the row. " + _markdown(legend(table))]
    average = average_line(table)
    if average:
        lines += ["", _markdown(average)]
    if chosen := chosen_line(table):
        lines += ["", _markdown(chosen)]
    if unbounded := unbounded_line(table):
        lines += ["", _markdown(unbounded)]
    lines += [f"{'' if at else chr(10)}{at + 1}. {_markdown(text)}" for at, text in enumerate(notes.texts)]
    for one in supplements_of(table):
        lines += ["", *_markdown_supplement(one)]
    if table.reference:
        lines += ["", f"**{_markdown(reference_title())}**", ""]
        lines += _markdown_head([TASK_TITLE, METRIC_TITLE, *(_markdown(method.title) for method in COLUMNS)], left=2)
        for line in TABLE_1:
            values = [_bold_markdown(number(value), best) for value, best in published_cells(line)]
            lines.append(_markdown_row([line.task, f"{line.metric} {_arrow(line.higher_is_better)}", *values]))
        lines += ["", _markdown(reference_average_line())]
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    """A `table` environment for the booktabs package: the best of each row bold, remarks below."""
    notes = notes_of(table)
    heads = [TASK_TITLE, METRIC_TITLE, f"${N_TITLE}$", *(_latex(method.title) for method in table.columns)]
    body = []
    for at, row in enumerate(table.rows):
        if at and begins_task(table, at):
            body.append(r"\midrule")
        values = [_latex_cell(cell, row, notes) for cell in cells_of(table, row)]
        task = _latex(row.task.key) if begins_task(table, at) else ""
        body.append(
            _latex_row([task, _latex_metric(row.metric.name, row.metric.higher_is_better), str(row.n), *values])
        )
    remarks = [r"\textbf{Bold}: best of the row. " + _latex(legend(table))]
    average = average_line(table)
    if average:
        remarks.append(_latex(average))
    remarks += [_latex(line) for line in (chosen_line(table), unbounded_line(table)) if line]
    remarks += [rf"$^{{{at + 1}}}$ {_latex(text)}" for at, text in enumerate(notes.texts)]
    text = _latex_table(heads, body, columns="llr" + "r" * len(table.columns), remarks=remarks)
    text += "".join("\n" + _latex_supplement(one) for one in supplements_of(table))
    return text + (_latex_reference() if table.reference else "")


def _csv_columns(table: Table) -> tuple[str, ...]:
    with_shares = any(row.oracle is not None for row in table.rows)
    cells = [cell for row in table.rows for cell in row.cells.values()]
    with_controls = any(cell.control is not None for cell in cells)
    with_spreads = any(cell.spread is not None for cell in cells)
    more = (SHARE_COLUMNS if with_shares else ()) + (CONTROL_COLUMNS if with_controls else ())
    more += CHOOSING_COLUMNS if any(cell.choosing is not None for cell in cells) else ()
    more += BEST_COLUMNS if any(cell.retriever is not None for cell in cells) else ()
    more += SPREAD_COLUMNS if with_spreads else ()
    return CSV_COLUMNS + more + (() if table.baseline == NONE else BASELINE_COLUMNS)


def _csv_line(row: Row, key: str, title: str, cell: Cell) -> dict[str, object]:
    share, control = cell.share or Share(None), cell.control or Control(None, 0)
    control_share, spread = control.share or Share(None), cell.spread
    known = {
        "task": row.task.key,
        "metric": row.metric.name,
        "higher_is_better": row.metric.higher_is_better,
        "method": key,
        "title": title,
        "low": cell.interval.low if cell.interval else None,
        "high": cell.interval.high if cell.interval else None,
        "remark": cell.reason or cell.note or cell.unaveraged,
        "published": False,
        "oracle": row.oracle,
        "share_of_possible": share.value,
        "share_remark": share.reason,
        "swapped_value": control.value,
        "swapped_n": control.n if cell.control else None,
        "swapped_p_value": control.p_value,
        "swapped_p_holm": control.p_holm,
        "swapped_share_of_possible": control_share.value,
        "swapped_remark": control.reason,
        **_csv_choosing(cell.choosing),
        "best_retriever": cell.retriever,
        "seeds": spread.seeds if spread else None,
        "seeds_mean": spread.mean if spread else None,
        "seeds_deviation": spread.deviation if spread else None,
        "seeds_gain": spread.gain if spread else None,
        "seeds_relative_gain": spread.relative_gain if spread else None,
    }
    return known | {column: getattr(cell, column) for column in CSV_COLUMNS if column not in known}


def _csv_choosing(choosing: Choosing | None) -> dict[str, object]:
    if choosing is None:
        return dict.fromkeys(CHOOSING_COLUMNS)
    found = choosing.bounds
    return {
        "chosen": "; ".join(f"{name} {count}" for name, count in choosing.chosen.items()),
        "best_single": found.best if found else None,
        "best_single_value": found.best_value if found else None,
        "pool_oracle": found.oracle if found else None,
        "share_of_gap": found.share if found else None,
        "choosing_p_value": found.p_value if found else None,
        "choosing_p_holm": choosing.p_holm,
        "choosing_remark": choosing.reason,
    }


def _csv_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    return "'" + text if _FORMULA.match(text) else text


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _markdown_row(values: list[str]) -> str:
    return "| " + " | ".join(values) + " |"


def _markdown_head(heads: list[str], *, left: int) -> list[str]:
    rules = [":---" if at < left else "---:" for at in range(len(heads))]
    return [_markdown_row(heads), _markdown_row(rules)]


def _markdown_cell(cell: Cell, row: Row, notes: Notes) -> str:
    note = notes.number_of(cell)
    mark = f" <sup>{note}</sup>" if note is not None else ""
    if cell.value is None:
        return "–" + mark
    n = f" (n={cell.n})" if cell.n != row.n else ""
    return _bold_markdown(value_text(cell), is_best(cell)) + _markdown(stars(cell)) + n + mark


def _markdown_supplement(one: Supplement) -> list[str]:
    heads = [TASK_TITLE, METRIC_TITLE, *one.leads, *(_markdown(method.title) for method in one.columns)]
    lines = [f"**{_markdown(one.title)}**", "", *_markdown_head(heads, left=2)]
    for line in one.lines:
        values = [_markdown(line.cells[method.key]) for method in one.columns]
        lines.append(_markdown_row([_markdown(line.row.task.key), _metric(line.row), *line.leads, *values]))
    for remark in one.remarks:
        lines += ["", _markdown(remark)]
    return lines


def _bold_markdown(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _metric(row: Row) -> str:
    return f"{_markdown(row.metric.name)} {_arrow(row.metric.higher_is_better)}"


def _arrow(higher_is_better: bool) -> str:
    return "↑" if higher_is_better else "↓"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _latex_row(values: list[str]) -> str:
    return " & ".join(values) + r" \\"


def _latex_metric(name: str, higher_is_better: bool) -> str:
    return _latex(name) + (r" $\uparrow$" if higher_is_better else r" $\downarrow$")


def _latex_cell(cell: Cell, row: Row, notes: Notes) -> str:
    note = notes.number_of(cell)
    marks = ",".join(part for part in (stars(cell), str(note) if note is not None else "") if part)
    above = f"$^{{{marks}}}$" if marks else ""
    if cell.value is None:
        return "--" + above
    n = f" ($n={cell.n}$)" if cell.n != row.n else ""
    return _bold_latex(_latex(value_text(cell)), is_best(cell)) + above + n


def _bold_latex(text: str, best: bool) -> str:
    return rf"\textbf{{{text}}}" if best else text


def _latex_table(heads: list[str], body: list[str], *, columns: str, remarks: list[str]) -> str:
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(heads),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *(r"\par\smallskip\footnotesize " + remark for remark in remarks),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_supplement(one: Supplement) -> str:
    heads = [TASK_TITLE, METRIC_TITLE, *one.leads, *(_latex(method.title) for method in one.columns)]
    body = []
    for at, line in enumerate(one.lines):
        if at and line.begins_task:
            body.append(r"\midrule")
        task = _latex(line.row.task.key) if line.begins_task else ""
        metric = _latex_metric(line.row.metric.name, line.row.metric.higher_is_better)
        body.append(
            _latex_row([task, metric, *line.leads, *(_latex(line.cells[method.key]) for method in one.columns)])
        )
    columns = "ll" + "r" * (len(heads) - 2)
    return _latex_table(heads, body, columns=columns, remarks=[_latex(one.title + "."), *map(_latex, one.remarks)])


def _latex_reference() -> str:
    body = []
    for at, line in enumerate(TABLE_1):
        first = at == 0 or TABLE_1[at - 1].task != line.task
        if at and first:
            body.append(r"\midrule")
        values = [_bold_latex(number(value), best) for value, best in published_cells(line)]
        body.append(
            _latex_row([line.task if first else "", _latex_metric(line.metric, line.higher_is_better), *values])
        )
    heads = [TASK_TITLE, METRIC_TITLE, *(_latex(method.title) for method in COLUMNS)]
    remarks = [_latex(reference_title() + "."), _latex(reference_average_line())]
    return "\n" + _latex_table(heads, body, columns="ll" + "r" * len(COLUMNS), remarks=remarks)
