"""Runs the benchmarks, prints a table and writes `var/bench.json`: `python -m benchmarks [name ...]`.

Every module of this package with a `run() -> list[Figure]` is a benchmark; names select modules. Beside the figures
stands what they were measured on, in `bench.context.json`.
"""

import argparse
import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.surroundings import surroundings

FOLDER = Path(__file__).resolve().parent
RESULT = FOLDER.parent / "var" / "bench.json"


def benchmarks() -> dict[str, Callable[[], list[Figure]]]:
    """The `run` of each benchmark module, by the module's name."""
    modules = {
        name: importlib.import_module(f"benchmarks.{name}")
        for _, name, _ in pkgutil.iter_modules([str(FOLDER)])
        if name != "__main__"
    }
    return {name: module.run for name, module in sorted(modules.items()) if hasattr(module, "run")}


def table(figures: list[Figure]) -> str:
    """The figures as aligned lines."""
    lines = [("benchmark", "ratio", "median", "")]
    lines += [
        (figure.name, f"{figure.ratio:.2f}×", f"{figure.median:.4g} {figure.unit}", figure.detail) for figure in figures
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {ratio:>{widths[1]}}  {median:>{widths[2]}}  {detail}".rstrip()
        for name, ratio, median, detail in lines
    )


def markdown(figures: list[Figure], *, command: str, context: Mapping[str, str]) -> str:
    """A page with the figures as a table, how they were made and on what."""
    facts = [f"- {name}: {value}" for name, value in {"command": f"`{command}`", **context}.items()]
    rows = [
        f"| `{figure.name}` | {figure.ratio:.2f}× | {figure.median:.4g} {figure.unit} | {_cell(figure.detail)} |"
        for figure in figures
    ]
    head = ["| figure | ratio | ours | compared with |", "|---|---:|---:|---|"]
    return "\n".join(["# Benchmark results", "", *facts, "", *head, *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write(figures: list[Figure], path: Path) -> None:
    """Write the figures as a list of objects."""
    _put(path, json.dumps([figure._asdict() for figure in figures], indent=2, ensure_ascii=False) + "\n")


def _put(path: Path, text: str) -> None:
    """An earlier result stays whole until the new one is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def main(arguments: list[str]) -> int:
    # One thread a process: on a shared machine two are slower than one, and the figures wobble.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    runs = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios, measured side by side.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which to run, of: {', '.join(runs)} (default: all)")
    parser.add_argument("--out", type=Path, default=RESULT, help="where to write the figures as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write them as a Markdown page, too")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(runs))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(runs)}")
    figures: list[Figure] = []
    for name in options.names or runs:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += runs[name]()
    print(table(figures))
    command = " ".join(["python -m benchmarks", *options.names])
    context = surroundings()
    write(figures, options.out)
    _put(
        options.out.with_suffix(".context.json"),
        json.dumps({"command": command, **context}, indent=2, ensure_ascii=False) + "\n",
    )
    if options.markdown:
        _put(options.markdown, markdown(figures, command=command, context=context))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
