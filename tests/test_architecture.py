"""The shape of the code: three floors, one user of MLflow, and a `dvc.yaml` that lists what each stage depends on."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.closure import CONFIGURATION, FLOORS, ROOT, import_closure, imports_of

SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PROFILES: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())["profiles"]
OVERRIDDEN = {section for profile in PROFILES.values() for section in profile}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_only_downward(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    allowed = FLOORS[FLOORS.index(floor) :]
    upward = {name for name in imports_of(_module(path)) if name.split(".")[0] not in allowed}
    assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)}; allowed are {allowed}"


def test_models_read_no_files_and_pipelines_no_command_line() -> None:
    forbidden = {
        "models": {"argparse", "h5py", "mlflow", "pandas", "pydantic", "typer", "yaml"},
        "pipelines": {"argparse", "dvc", "typer"},
        "stages": {"argparse", "mlflow"},
    }
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        for name in _foreign_imports(path)
        if name in forbidden[path.relative_to(ROOT).parts[0]]
    ]
    assert not found, "\n".join(found)


def test_only_tracking_imports_mlflow() -> None:
    users = {path.relative_to(ROOT).as_posix() for path in SOURCES if "mlflow" in _foreign_imports(path)}
    assert users, "the search finds nothing"
    assert all(user.startswith("pipelines/tracking") for user in users), users


def test_torch_load_never_unpickles_objects() -> None:
    unsafe = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load" and not _loads_weights_only(node)
    ]
    assert not unsafe, unsafe


def test_every_stage_has_its_module() -> None:
    modules = {_entry(name) for name in GRAPH}
    files = {f"stages.{path.stem}" for path in (ROOT / "stages").glob("[!_]*.py")}
    assert modules <= files, f"dvc.yaml starts {sorted(modules - files)}, which do not exist"


@pytest.mark.parametrize("stage", GRAPH)
def test_dvc_lists_the_code_of_each_stage(stage: str) -> None:
    listed = {path for path in _body(stage).get("deps", []) if path.split("/")[0] in FLOORS}
    needed = import_closure(_entry(stage))
    missing = sorted(path for path in needed if not any(_covers(one, path) for one in listed))
    superfluous = sorted(one for one in listed if not any(_covers(one, path) for path in needed))
    message = [f"dvc.yaml, stage {stage}, deps:", *(f"  add    {path}" for path in missing)]
    message += [f"  remove {path}" for path in superfluous]
    assert not missing and not superfluous, "\n".join(message)
    assert not listed & CONFIGURATION


@pytest.mark.parametrize("stage", GRAPH)
def test_commands_name_every_path_that_dvc_knows(stage: str) -> None:
    body = _body(stage)
    data = [path for path in body.get("deps", []) if path.split("/")[0] not in FLOORS]
    outs = [path for kind in ("outs", "metrics", "plots") for path in map(_path_of_out, body.get(kind, []))]
    words = body["cmd"].split()
    flags = [path for path in words if "/" in path]
    unknown = [flag for flag in flags if not any(_touches(flag, path) for path in [*data, *outs])]
    assert not unknown, f"dvc.yaml, stage {stage}: {unknown} are in the command, but neither in deps nor in outs"


@pytest.mark.parametrize("stage", GRAPH)
def test_commands_give_the_flags_of_the_stage(stage: str) -> None:
    path = ROOT.joinpath(*_entry(stage).split(".")).with_suffix(".py")
    function = next(
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == path.stem
    )
    optional = {
        name.arg
        for name, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if default is not None
    }
    flags = {name.arg for name in function.args.kwonlyargs}
    given = {flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z0-9-]*)", _body(stage)["cmd"])}
    assert flags - optional <= given <= flags, f"{stage} takes {sorted(flags)}, dvc.yaml gives {sorted(given)}"


@pytest.mark.parametrize("stage", GRAPH)
def test_dvc_tracks_the_parameters_that_each_stage_reads(stage: str) -> None:
    path = ROOT.joinpath(*_entry(stage).split(".")).with_suffix(".py")
    read = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("params", "load_params()")
    }
    read.discard("labelling")  # steers where labels are computed, not what they are
    if stage != "track":
        read.discard("track")  # steers the mirror in MLflow, not what the stage writes
    of_profile = "profiles.${profile}."
    tracked = [name for name in _body(stage).get("params", []) if isinstance(name, str) and name != "profile"]
    base = {name.split(".")[0] for name in tracked if not name.startswith(of_profile)}
    overrides = {name.removeprefix(of_profile).split(".")[0] for name in tracked if name.startswith(of_profile)}
    assert base == read, f"dvc.yaml, stage {stage}, params: it reads {sorted(read)}, tracked are {sorted(base)}"
    assert overrides == read & OVERRIDDEN, f"dvc.yaml, stage {stage}, params: track {of_profile}* of {sorted(read)}"


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _foreign_imports(path: Path) -> set[str]:
    return {name.split(".")[0] for node in ast.walk(ast.parse(path.read_text())) for name in _names(node)}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def _loads_weights_only(call: ast.Call) -> bool:
    return any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in call.keywords)


def _body(stage: str) -> dict[str, Any]:
    """A stage's keys; with `foreach` they lie under `do`, with `matrix` beside it."""
    return GRAPH[stage].get("do", GRAPH[stage])


def _entry(stage: str) -> str:
    command = _body(stage)["cmd"]
    match = re.search(r"python -m (stages\.\w+)", command)
    assert match, f"dvc.yaml, stage {stage}: expected `exec python -m stages.<name> ...`, got {command!r}"
    return match[1]


def _covers(listed: str, path: str) -> bool:
    return path == listed or path.startswith(listed.rstrip("/") + "/")


def _touches(flag: str, path: str) -> bool:
    return _covers(path, flag) or _covers(flag, path)


def _path_of_out(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))
