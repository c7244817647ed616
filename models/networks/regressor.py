"""The network of Fig. 2: a convolutional backbone that regresses every coefficient group of one photograph."""

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from models.coefficients import Coefficients

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

# Prior of each group that has no unit variance: what raw output 0 means, and the change that raw output 1 makes.
_ANGLE_SCALE = 0.3  # radians
_TRANSLATION_SCALE = 10.0  # mm
_LOG_SCALE_SCALE = 0.1
_AMBIENT = 2.4  # first harmonic; lights a surface with 2.4 × 0.282 = 0.68 of its albedo
_SH_SCALE = 0.5
_LIGHT_POSITION = (0.0, 250.0, 700.0)  # mm, camera frame: above and in front
_LIGHT_POSITION_SCALE = 300.0
_SHININESS = 20.0  # AlbedoMM's own renderer
_LOG_SHININESS_SCALE = 0.5


class Regressor(nn.Module):
    """Photograph crop (B, 3, size, size), sRGB in 0..1 → coefficients; any size, best at that of its training."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, shape_size: int, expression_size: int, albedo_size: int) -> None:
        super().__init__()
        self.group_sizes = (shape_size, expression_size, albedo_size, 3, 3, 1, 27, 3, 1)
        self.backbone, feature_size = _headless(backbone)
        self.head = nn.Linear(feature_size, sum(self.group_sizes))
        nn.init.normal_(self.head.weight, std=1.0e-3)  # begins near the mean face in the prior's light
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Coefficients:
        """Regress the coefficients; always in 32 bits, whatever precision the backbone runs in."""
        features = self.backbone((image - self.mean) / self.std)
        with torch.autocast(image.device.type, enabled=False):
            raw = self.head(features.float())
        return coefficients_from_raw(raw, self.group_sizes)


def coefficients_from_raw(raw: Float[Tensor, "B R"], group_sizes: tuple[int, ...]) -> Coefficients:
    """Coefficients in their units from the network's raw output, in which every group has a spread of about one."""
    shape, expression, albedo, angles, translation, scale, sh, light, shininess = raw.split(group_sizes, dim=-1)
    ambient = torch.zeros_like(sh).unflatten(-1, (9, 3))
    ambient[:, 0] = _AMBIENT
    return Coefficients(
        shape=shape,
        expression=expression,
        albedo=albedo,
        euler_angles=_ANGLE_SCALE * angles,
        translation=_TRANSLATION_SCALE * translation,
        scale=torch.exp(_LOG_SCALE_SCALE * scale),
        sh_coefficients=ambient + _SH_SCALE * sh.unflatten(-1, (9, 3)),
        light_position=light.new_tensor(_LIGHT_POSITION) + _LIGHT_POSITION_SCALE * light,
        shininess=_SHININESS * torch.exp(_LOG_SHININESS_SCALE * shininess),
    )


def neutral_coefficients(group_sizes: tuple[int, ...], batch_size: int) -> Coefficients:
    """The mean face, frontal, in the prior's light: what an untrained network answers."""
    return coefficients_from_raw(torch.zeros(batch_size, sum(group_sizes)), group_sizes)


def _headless(backbone: str) -> tuple[nn.Module, int]:
    """A torchvision classifier without its last layer, and the length of its features."""
    network = torchvision.models.get_model(backbone, weights=None)
    if hasattr(network, "fc"):
        size = network.fc.in_features
        network.fc = nn.Identity()
    else:
        size = network.classifier[-1].in_features
        network.classifier[-1] = nn.Identity()
    return network, size
