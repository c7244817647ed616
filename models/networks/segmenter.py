"""The face segmentation network: a U-Net or U-Net++ over crops, and its class-weighted cross-entropy (Sec. 4.2)."""

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from models.segments import SEGMENTS


class Segmenter(nn.Module):
    """A network of segmentation-models-pytorch: crops (B, 3, H, W), sRGB in 0..1 → class logits at `input_size`.

    The prior says how often each class lies where in aligned crops; what the network learns is added to its logarithm.

    Deviation: a class-weighted cross-entropy (Sec. 4.2) teaches p(class) times the class's weight, which labels rare
    classes far too widely; the decision divides by the weights again (the logit adjustment of Menon et al., ICLR 2021).
    """

    prior: Tensor  # (10, S, S), logarithms
    class_weights: Tensor  # (10,), of the cross-entropy

    def __init__(self, architecture: str, encoder: str, input_size: int) -> None:
        super().__init__()
        if input_size % 32:
            raise ValueError(f"expected an input size that is a multiple of 32 (five halvings), got {input_size}")
        self.input_size = input_size
        self.network = smp.create_model(architecture, encoder, encoder_weights=None, classes=len(SEGMENTS))
        self.register_buffer("prior", torch.zeros(len(SEGMENTS), input_size, input_size))
        self.register_buffer("class_weights", torch.ones(len(SEGMENTS)))

    def set_prior(self, pixel_counts: Float[Tensor, "10 S S"]) -> None:
        """Take the prior from how many crops show each class at each pixel; a class never seen counts as one crop's."""
        counts = pixel_counts + 1
        self.prior.copy_((counts / counts.sum(dim=0)).log())

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 10 S S"]:
        """Logits of the classes of `models.segments`."""
        size = (self.input_size, self.input_size)
        resized = image if image.shape[-2:] == size else interpolate(image, size, mode="bilinear", antialias=True)
        logits: Tensor = self.network(4 * resized - 2) + self.prior
        return logits

    def segments(self, image: Float[Tensor, "B 3 H W"]) -> Int[Tensor, "B H W"]:
        """Class number of each pixel of the crops, from logits brought to the size of the crops.

        A class that training never saw has no weight, and is never labelled.
        """
        logits = interpolate(self(image), image.shape[-2:], mode="bilinear")
        unbiased = logits - self.class_weights.log()[:, None, None]
        return unbiased.masked_fill((self.class_weights == 0)[:, None, None], -torch.inf).argmax(dim=1)


def class_weights(pixel_counts: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Inverse square roots of each class's frequency, scaled to mean one over all pixels; zero for absent classes."""
    present = pixel_counts > 0
    raw = torch.where(present, pixel_counts.clamp_min(1).rsqrt(), torch.zeros_like(pixel_counts))
    return raw * pixel_counts.sum() / (raw * pixel_counts).sum()


def weighted_cross_entropy(
    logits: Float[Tensor, "B N H W"], segments: Int[Tensor, "B H W"], weights: Float[Tensor, "N"]
) -> Float[Tensor, ""]:
    """Mean over the pixels of the cross-entropy, each pixel weighted by its true class."""
    return (weights[segments] * cross_entropy(logits, segments, reduction="none")).mean()
