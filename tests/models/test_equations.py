"""Every equation of the paper has one home, and says so."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import models

TABLE = dict(re.findall(r"^(\d+) +(`models\..+`)$", models.__doc__ or "", flags=re.MULTILINE))
HOMES = {int(number): re.findall(r"`([\w.]+)`", cell) for number, cell in TABLE.items()}
FOLDER = Path(inspect.getfile(models)).parent


def _resolve(home: str) -> object:
    """The function of a dotted name, which may be a method."""
    parts = home.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{home} does not exist")


def _claims() -> dict[int, set[str]]:
    """Which functions say `(Eq. n` in the first line of their docstring."""
    claims: dict[int, set[str]] = {}
    for path in sorted(FOLDER.rglob("*.py")):
        module = ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")
        for parent in [tree := ast.parse(path.read_text()), *(n for n in tree.body if isinstance(n, ast.ClassDef))]:
            prefix = f"{module}.{parent.name}" if isinstance(parent, ast.ClassDef) else module
            for node in parent.body:
                if isinstance(node, ast.FunctionDef):
                    first_line = (ast.get_docstring(node) or "").partition("\n")[0]
                    for number in re.findall(r"\(Eq\. (\d+)\b", first_line):
                        claims.setdefault(int(number), set()).add(f"{prefix}.{node.name}")
    return claims


def test_the_table_lists_all_thirteen_equations() -> None:
    assert sorted(HOMES) == list(range(1, 14))


@pytest.mark.parametrize("number", range(1, 14))
def test_the_home_of_an_equation_names_it_in_its_first_line(number: int) -> None:
    for home in HOMES[number]:
        first_line = (inspect.getdoc(_resolve(home)) or "").partition("\n")[0]
        assert f"(Eq. {number}" in first_line, f"{home}: {first_line}"


@pytest.mark.parametrize("number", range(1, 14))
def test_no_other_function_claims_an_equation(number: int) -> None:
    assert _claims()[number] == set(HOMES[number])
