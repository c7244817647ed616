"""The landmark network is trained here, on crops whose landmarks are known."""

from pathlib import Path

import torch
from torch import Tensor

from models import augmentation
from models.augmentation import Movements, move_landmarks, random_movements
from models.networks.heatmaps import STRIDE, heatmap_loss
from models.networks.landmark_network import LandmarkNetwork
from pipelines.dataset import resized
from pipelines.device import best_device
from pipelines.labelling.network_training import Forward, train_network
from pipelines.labelling.segmenter_encoder import begin_with_segmenter
from pipelines.labelling.truth import LandmarkedCrops, training_rows
from pipelines.params import LandmarkTrainingParams
from pipelines.weights import save_weights

ROTATION_DEGREES, LOG_SCALE, SHIFT = 15.0, 0.18, 0.1  # augmentation; real crops lie less exactly than synthetic ones


def train_landmarks(
    aligned: Path, truth: Path, segmenter: Path, output: Path, *, params: LandmarkTrainingParams
) -> None:
    """Train the landmark network on the synthetic training crops.

    It begins with what the segmentation network, weights in `segmenter`, has seen in the same crops.
    """
    rows = training_rows(aligned, truth, "train_landmarks")

    def loss_of(network: Forward, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        image, landmarks = _augmented(*batch, size=params.input_size, generator=generator)
        return heatmap_loss(network(image), landmarks / STRIDE)

    torch.manual_seed(params.seed)
    dataset = LandmarkedCrops(aligned, rows)
    network = LandmarkNetwork(params.encoder, params.input_size)
    begins = "scratch"
    if params.initial_encoder == "auto" and begin_with_segmenter(network, params.encoder, segmenter):
        begins = "segmenter"
    network.decoder.set_prior(_moved_landmarks(dataset, params) / params.input_size)
    history = train_network(network, dataset, loss_of=loss_of, params=params, stage="train_landmarks")
    description = {
        "architecture": "resnet-heatmaps",
        "encoder": params.encoder,
        "input_size": params.input_size,
        "initialization": begins,
        "crops": len(rows),
    }
    save_weights(output, network, description, history)


def _augmented(image: Tensor, landmarks: Tensor, *, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch moved, recoloured and partly covered; landmarks in pixels of `size`."""
    device = best_device()
    movements = _movements(len(image), generator)
    pictures = augmentation.move_pictures(resized(image.to(device), size), movements, mode="bilinear")
    covered = augmentation.random_occlusions(len(image), size, generator)
    pictures = augmentation.cover(augmentation.change_colours(pictures, generator), covered, generator)
    points = move_landmarks(landmarks.to(device) * size / image.shape[-1], movements, size)
    return pictures.contiguous(memory_format=torch.channels_last), points


def _movements(count: int, generator: torch.Generator) -> Movements:
    return random_movements(count, generator, rotation_degrees=ROTATION_DEGREES, log_scale=LOG_SCALE, shift=SHIFT)


def _moved_landmarks(dataset: LandmarkedCrops, params: LandmarkTrainingParams) -> Tensor:
    """Landmarks (N, 68, 2) of all crops, moved as training moves them; pixels of the input."""
    landmarks = torch.stack(dataset.landmarks) * params.input_size / dataset.pictures[0].shape[-1]
    movements = _movements(len(landmarks), torch.Generator().manual_seed(params.seed))
    return move_landmarks(landmarks, movements, params.input_size)
