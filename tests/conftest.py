"""Checks every shape annotation of `models/` at run time, and shares the toy face."""

from jaxtyping import install_import_hook

_hook = install_import_hook("models", "beartype.beartype")
