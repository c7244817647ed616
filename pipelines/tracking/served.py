"""The regressor as MLflow loads and serves it: aligned crops in, coefficients out.

MLflow runs this file when it loads the model (`package` hands it over), in an environment where Facet is installed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from pipelines.dataset import resized
from pipelines.regression_network import read_regressor
from pipelines.weights import read_description


class ServedRegressor(PythonModel):
    """A trained regressor behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Load the weights that were packed with the model."""
        folder = Path(context.artifacts["weights"])
        self.network = read_regressor(folder)
        self.input_size = int(read_description(folder)["input_size"])

    @torch.inference_mode()
    def predict(self, context: Any, model_input: Any, params: Any = None) -> dict[str, Any]:
        """The coefficient groups of aligned crops (B, H, W, 3), 8-bit sRGB, by their names in `Coefficients`.

        MLflow checks the crops against the signature; a type here it would take for a signature of its own.
        """
        pictures = torch.from_numpy(np.ascontiguousarray(model_input.transpose(0, 3, 1, 2)))
        coefficients = self.network(resized(pictures, self.input_size))
        return {name: group.numpy() for name, group in coefficients._asdict().items()}


set_model(ServedRegressor())
