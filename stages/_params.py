"""Reads `params.yaml`, lays the chosen profile over it and checks every key and range, in well under a second."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipelines.params import Params

PARAMS_FILE = Path("params.yaml")


def load_params(path: Path = PARAMS_FILE, changes: Sequence[str] = ()) -> Params:
    """All parameters of the profile that `params.yaml` names; leaves the program with a message when one is wrong.

    Each of `changes`, such as "train.iterations=50", comes first in place of what the file says.
    """
    try:
        return parse_params(path.read_text(), changes)
    except (ValueError, OSError, yaml.YAMLError) as error:
        sys.exit(f"{path}: {error}")


def load_profile(path: Path = PARAMS_FILE, changes: Sequence[str] = ()) -> str:
    """The name of the profile that a valid `params.yaml` with valid changes chooses."""
    tree = yaml.safe_load(path.read_text())
    for change in changes:
        _apply(change, tree)
    return str(tree["profile"])


def parse_params(text: str, changes: Sequence[str] = ()) -> Params:
    """Parameters from the text of a `params.yaml`; ValueError naming each unknown key and each wrong value."""
    tree = yaml.safe_load(text)
    if not isinstance(tree, dict):
        raise ValueError("expected sections, got nothing")
    for change in changes:
        _apply(change, tree)
    profile, profiles = tree.pop("profile", None), tree.pop("profiles", None) or {}
    if profile not in profiles:
        raise ValueError(f"profile: expected one of {', '.join(profiles)}, got {profile!r}")
    params = _validated(tree, "")
    for name, overrides in profiles.items():  # a mistake in another profile must not wait until it is chosen
        checked = _validated(_overlaid(tree, overrides or {}), f"profiles.{name}.")
        params = checked if name == profile else params
    return params


def _apply(change: str, tree: dict[str, Any]) -> None:
    name, _, value = change.partition("=")
    *sections, key = name.split(".")
    branch: Any = tree
    for section in sections:
        branch = branch.get(section) if isinstance(branch, dict) else None
    if not isinstance(branch, dict) or not value:
        raise ValueError(f"expected a change like train.iterations=50, got {change!r}")
    branch[key] = yaml.safe_load(value)


def _validated(tree: dict[str, Any], prefix: str) -> Params:
    try:
        return Params.model_validate(tree, strict=False)
    except ValidationError as error:
        lines = [f"{prefix}{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ValueError("\n".join(lines)) from None


def _overlaid(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _overlaid(base[key], value) if nested else value
    return result


if __name__ == "__main__":
    load_params()
