"""Which files of this repository a stage's module imports: what `dvc.yaml` has to list as its code dependencies.

`python -m tests.closure` prints the list of every stage, `python -m tests.closure train align` of some.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("stages", "pipelines", "models")

# `dvc.yaml` tracks the values of parameters, so the code that reads them is no dependency.
CONFIGURATION = frozenset({"stages/_params.py", "stages/_stage.py", "pipelines/params.py"})
# Live curves change no output; only the stage that writes the store depends on this code.
TRACKING = "pipelines.tracking"


def import_closure(module: str) -> set[str]:
    """Paths, relative to the repository, of all files that `module` imports, however indirectly, itself included."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        path = _path_of(current)
        if path is None or path.relative_to(ROOT).as_posix() in found | CONFIGURATION:
            continue
        found.add(path.relative_to(ROOT).as_posix())
        waiting += imports_of(current)
    return {path for path in found if not _is_empty_package(ROOT / path)}


def imports_of(module: str) -> Iterator[str]:
    """Modules of this repository that `module` imports, inside functions too, with the packages they lie in."""
    path = _path_of(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        for name in _imported_names(node, package):
            foreign = name.split(".")[0] not in FLOORS
            live = name.startswith(TRACKING) and module.startswith("pipelines.") and not module.startswith(TRACKING)
            if not foreign and not live:
                parts = name.split(".")
                yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _imported_names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)  # a module, or a name that `_path_of` does not find


def _path_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _is_empty_package(path: Path) -> bool:
    """Whether a file is an `__init__.py` with nothing but a docstring."""
    statements = ast.parse(path.read_text()).body
    return path.name == "__init__.py" and all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) for statement in statements
    )


if __name__ == "__main__":
    stages = sys.argv[1:] or sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    for stage in stages:
        listing = "".join(f"\n      - {path}" for path in sorted(import_closure(f"stages.{stage}")))
        print(f"  {stage}:\n    deps:{listing}")
