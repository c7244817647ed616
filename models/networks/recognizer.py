"""The face recogniser F of Eq. 7 and the triplet loss that trains it (FaceNet, Schroff et al. 2015)."""

from typing import NamedTuple

import torch
import torchvision
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize


class Recognizer(nn.Module):
    """Photograph (B, 3, H, W), sRGB in 0..1 → features (B, D) of length one.

    Wraps facenet-pytorch's InceptionResnetV1 or a torchvision ResNet; resizes to the input size it was made for and
    applies FaceNet's fixed normalisation, (255 x - 127.5) / 128.
    """

    def __init__(self, architecture: str, embedding_size: int, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.network = _network(architecture, embedding_size)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Features of unit length, 32 bits."""
        size = (self.input_size, self.input_size)
        resized = image if image.shape[-2:] == size else interpolate(image, size, mode="bilinear", antialias=True)
        return normalize(self.network((255 * resized - 127.5) / 128).float(), dim=-1)


def _network(architecture: str, embedding_size: int) -> nn.Module:
    if architecture == "inception_resnet_v1":
        from facenet_pytorch import InceptionResnetV1  # its import costs seconds that the small profiles save

        network = InceptionResnetV1(pretrained=None)
        if embedding_size != network.last_bn.num_features:
            raise ValueError(f"inception_resnet_v1 has {network.last_bn.num_features} features, not {embedding_size}")
        return network
    network = torchvision.models.get_model(architecture, weights=None)
    network.fc = nn.Linear(network.fc.in_features, embedding_size)
    return network


class Triplets(NamedTuple):
    """The loss of a batch, and how many of its triplets still teach something: 0 of them make the loss 0."""

    loss: Float[Tensor, ""]
    active: Float[Tensor, ""]  # share whose loss is not 0
    semi_hard: Float[Tensor, ""]  # share whose negative is farther than the positive, by less than the margin


def triplet_loss(features: Float[Tensor, "B D"], identities: Int[Tensor, "B"], margin: float) -> Triplets:
    """Mean triplet loss over all anchor–positive pairs of a batch, each with one semi-hard negative.

    Semi-hard: the nearest negative that is farther than the positive; when there is none, the farthest negative.
    Distances are squared Euclidean ones of unit features, 0 to 4.
    """
    distances = 2 - 2 * features @ features.T
    same = identities[:, None] == identities[None]
    anchors, positives = torch.where(same & ~torch.eye(len(features), dtype=torch.bool, device=features.device))
    positive_distances = distances[anchors, positives]
    negatives = _semi_hard_negatives(distances.detach()[anchors], positive_distances.detach(), ~same[anchors])
    negative_distances = distances[anchors, negatives]
    losses = torch.relu(positive_distances - negative_distances + margin)
    active = losses.detach() > 0
    semi_hard = active & (negative_distances > positive_distances)
    return Triplets(losses.mean(), active.float().mean(), semi_hard.float().mean())


def _semi_hard_negatives(
    distances: Float[Tensor, "P B"], positive_distances: Float[Tensor, "P"], different: Bool[Tensor, "P B"]
) -> Int[Tensor, "P"]:
    farther = different & (distances > positive_distances[:, None])
    nearest_farther = distances.masked_fill(~farther, torch.inf).argmin(dim=-1)
    farthest = distances.masked_fill(~different, -torch.inf).argmax(dim=-1)
    return torch.where(farther.any(dim=-1), nearest_farther, farthest)
