"""Which settings there are: what the modules of `config` read from the environment, as their text says."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.servers import REPOSITORY

CONFIG = REPOSITORY / "platform" / "config"


@dataclass(frozen=True)
class Setting:
    """One `env.KIND("NAME", default=…)`."""

    name: str
    kind: str
    # What the text says: a number such as 10 * 2**20 is told as that number. NO_LITERAL where it depends on others.
    default: Any


NO_LITERAL = object()


def settings_read() -> list[Setting]:
    """All of them, in the order of their modules."""
    return [setting for path in sorted(CONFIG.rglob("*.py")) for setting in _in(ast.parse(path.read_text()))]


def _in(module: ast.Module) -> Iterator[Setting]:
    for node in ast.walk(module):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="env"), attr=kind), args=[ast.Constant(value=str(name)), *_]
            ):
                defaults = [keyword.value for keyword in node.keywords if keyword.arg == "default"]
                yield Setting(name, kind, _literal(defaults[0]) if defaults else NO_LITERAL)


def _literal(expression: ast.expr) -> Any:
    if any(isinstance(node, ast.Name | ast.Attribute | ast.Call) for node in ast.walk(expression)):
        return NO_LITERAL
    return eval(compile(ast.Expression(expression), "a default", "eval"), {"__builtins__": {}})
