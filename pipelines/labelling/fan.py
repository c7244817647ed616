"""face-alignment's FAN (Bulat & Tzimiropoulos 2017), when its weights lie in the torch hub cache; never downloaded."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from models.networks.landmark_network import LandmarkGuess

WEIGHTS_NAME = "3DFAN4-7835d9f11d.pth.tar"
WEIGHTS_ADDRESS = f"https://www.adrianbulat.com/downloads/python-fan/{WEIGHTS_NAME}"
# The face's box in the crop, as fractions of it: FAN was trained with boxes from the forehead to the chin.
FACE_BOX = (0.17, 0.17, 0.83, 0.90)
ENLARGEMENT = 4  # face-alignment cuts its points to whole pixels; on an enlarged crop they are a quarter as coarse


def weights_file() -> Path:
    """Where torch's cache keeps FAN's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME


def require_weights() -> Path:
    """The weights' path; FileNotFoundError telling where to get them when they are missing."""
    path = weights_file()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; download {WEIGHTS_ADDRESS} there, or set landmarks.network: own")
    return path


class FanNetwork:
    """FAN's "2.5D" landmarks, the projections of 3D points, on crops whose face needs no detector."""

    def __init__(self, device: str) -> None:
        import face_alignment  # its import costs seconds that runs without FAN save

        require_weights()
        self._network = face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_HALF_D,
            device=device,
            compile=False,
            face_detector="folder",  # reads boxes from files; the box is known, and this one needs no weights
        )

    def locate(self, image: Float[Tensor, "B 3 H W"]) -> LandmarkGuess:
        """Landmarks in pixels of the crops, and the heights of their heatmaps' peaks."""
        enlarged = interpolate(image, scale_factor=float(ENLARGEMENT), mode="bilinear")
        box = np.array(FACE_BOX) * enlarged.shape[-1]
        guesses = []
        for picture in (255 * enlarged).round().byte().permute(0, 2, 3, 1).cpu().numpy():
            points, scores, _ = self._network.get_landmarks_from_image(
                np.ascontiguousarray(picture), detected_faces=[box], return_landmark_score=True
            )
            guesses.append((torch.as_tensor(points[0]).float(), torch.as_tensor(scores[0]).float()))
        points_px, peaks = (torch.stack(column) for column in zip(*guesses, strict=True))
        return LandmarkGuess((points_px + 0.5) / ENLARGEMENT, peaks.clamp(0, 1))
