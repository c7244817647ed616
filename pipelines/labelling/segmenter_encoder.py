"""What the segmentation network has learned of faces, as the beginning of the landmark network."""

from pathlib import Path

from models.networks.landmark_network import LandmarkNetwork
from models.networks.segmenter import Segmenter
from pipelines.weights import load_weights, read_description


def begin_with_segmenter(network: LandmarkNetwork, encoder: str, segmenter_weights: Path) -> bool:
    """Copy the segmentation network's encoder into the landmark network's; False where they are not the same ResNet.

    Those of segmentation-models-pytorch name their layers as torchvision's do.
    """
    description = read_description(segmenter_weights)
    if description["encoder"] != encoder:
        return False
    segmenter = Segmenter(description["architecture"], encoder, description["input_size"])
    load_weights(segmenter_weights, segmenter)
    network.encoder.load_state_dict(segmenter.network.encoder.state_dict())
    return True
