"""A trained regressor as an MLflow model: weights, signature, an example, and the code that answers."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

EXAMPLE = "example.jpg"  # an aligned crop beside the weights
_NETWORK = "network.json"
_SERVED = Path(__file__).with_name("served.py")
_LIBRARIES = ("mlflow", "numpy", "safetensors", "torch", "torchvision")


def package(weights: Path, output: Path) -> None:
    """Write the regressor in the folder `weights` as an MLflow model into the new folder `output`."""
    import mlflow

    picture = np.asarray(Image.open(weights / EXAMPLE).convert("RGB"))
    sizes = json.loads((weights / _NETWORK).read_text())["sizes"]
    mlflow.pyfunc.save_model(
        output,
        python_model=str(_SERVED),
        artifacts={"weights": str(weights)},
        signature=_signature(picture.shape, sizes),
        input_example=picture[None],
        pip_requirements=[f"{name}=={version(name)}" for name in _LIBRARIES],
    )


def _signature(picture: tuple[int, ...], sizes: dict[str, int]) -> Any:
    """Any number of aligned crops, 8-bit sRGB, to the groups of `models.coefficients.Coefficients`."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    groups = {
        **{name: (sizes[name],) for name in ("shape", "expression", "albedo")},
        "euler_angles": (3,),
        "translation": (3,),
        "scale": (1,),
        "sh_coefficients": (9, 3),
        "light_position": (sizes["lights"], 3),
        "light_strength": (sizes["lights"],),
        "shininess": (sizes["shininess"],),
    }
    crops = TensorSpec(np.dtype(np.uint8), (-1, *picture))
    coefficients: list[Any] = [TensorSpec(np.dtype(np.float32), (-1, *shape), name) for name, shape in groups.items()]
    return ModelSignature(inputs=Schema([crops]), outputs=Schema(coefficients))
