"""What the landmark network has learned of faces, as the beginning of another network."""

from pathlib import Path

from models.networks.landmark_network import LandmarkNetwork
from models.networks.regressor import Regressor
from pipelines.weights import load_weights, read_description


def begin_with_landmarks(network: Regressor, backbone: str, landmark_weights: Path) -> bool:
    """Copy the landmark network into the regressor's `backbone` and points; False where it has another encoder."""
    description = read_description(landmark_weights)
    if description["encoder"] != backbone:
        return False
    landmarks = LandmarkNetwork(description["encoder"], description["input_size"])
    load_weights(landmark_weights, landmarks)
    network.backbone.load_state_dict(landmarks.encoder.state_dict())
    if network.points is not None:
        network.points.decoder.load_state_dict(landmarks.decoder.state_dict())
    return True
