"""The network of Fig. 2: a convolutional backbone that regresses every coefficient group of one photograph."""

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from models.coefficients import Coefficients, CoefficientSizes

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
_LIGHTS_APART = 400.0  # mm; further lights begin left and right of the first, in turn
_LOGIT_STRENGTH = -2.0  # of further lights: they begin weak, near the paper's single light
_SMALLEST_STRENGTH = 1.0e-6  # of further lights; a strength of exactly 0 or 1 has no raw output
_SHININESS = 20.0  # AlbedoMM's own renderer
_LOG_SHININESS_SCALE = 0.5


class Regressor(nn.Module):
    """Photograph crop (B, 3, size, size), sRGB in 0..1 → coefficients; any size, best at that of its training."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, sizes: CoefficientSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.backbone, feature_size = _headless(backbone)
        self.head = nn.Linear(feature_size, sum(raw_sizes(sizes)))
        nn.init.normal_(self.head.weight, std=1.0e-3)  # begins near the mean face in the prior's light
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Coefficients:
        """Regress the coefficients; always in 32 bits, whatever precision the backbone runs in."""
        features = self.backbone((image - self.mean) / self.std)
        with torch.autocast(image.device.type, enabled=False):
            raw = self.head(features.float())
        return coefficients_from_raw(raw, self.sizes)


def raw_sizes(sizes: CoefficientSizes) -> tuple[int, ...]:
    """Outputs of the network for each group, in the order of `Coefficients`; the first light's strength is fixed."""
    return (*sizes[:3], 3, 3, 1, 27, 3 * sizes.lights, sizes.lights - 1, sizes.shininess)


def coefficients_from_raw(raw: Float[Tensor, "B R"], sizes: CoefficientSizes) -> Coefficients:
    """Coefficients in their units from the network's raw output, in which every group has a spread of about one."""
    groups = raw.split(raw_sizes(sizes), dim=-1)
    shape, expression, albedo, angles, translation, scale, sh, lights, strengths, shininess = groups
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
        light_position=_first_positions(lights, sizes.lights) + _LIGHT_POSITION_SCALE * lights.unflatten(-1, (-1, 3)),
        light_strength=torch.cat([torch.ones_like(raw[:, :1]), torch.sigmoid(_LOGIT_STRENGTH + strengths)], dim=-1),
        shininess=_SHININESS * torch.exp(_LOG_SHININESS_SCALE * shininess),
    )


def raw_from_coefficients(coefficients: Coefficients) -> Float[Tensor, "B R"]:
    """The raw output that means these coefficients: the inverse of `coefficients_from_raw`.

    The first light's strength, which is fixed, is left out; one of 0 or 1 comes back as one beside it.
    """
    c, lights = coefficients, coefficients.light_position.shape[1]
    ambient = torch.zeros_like(c.sh_coefficients)
    ambient[:, 0] = _AMBIENT
    groups = (
        c.shape,
        c.expression,
        c.albedo,
        c.euler_angles / _ANGLE_SCALE,
        c.translation / _TRANSLATION_SCALE,
        torch.log(c.scale) / _LOG_SCALE_SCALE,
        (c.sh_coefficients - ambient) / _SH_SCALE,
        (c.light_position - _first_positions(c.light_position, lights)) / _LIGHT_POSITION_SCALE,
        torch.logit(c.light_strength[:, 1:], eps=_SMALLEST_STRENGTH) - _LOGIT_STRENGTH,
        torch.log(c.shininess / _SHININESS) / _LOG_SHININESS_SCALE,
    )
    return torch.cat([group.flatten(1) for group in groups], dim=-1)


def sizes_of(coefficients: Coefficients) -> CoefficientSizes:
    """How long the groups of these coefficients are."""
    groups = (coefficients.shape, coefficients.expression, coefficients.albedo)
    lights, shininess = coefficients.light_position, coefficients.shininess
    return CoefficientSizes(*(group.shape[1] for group in (*groups, lights, shininess)))


def neutral_coefficients(sizes: CoefficientSizes, batch_size: int) -> Coefficients:
    """The mean face, frontal, in the prior's light: what an untrained network answers."""
    return coefficients_from_raw(torch.zeros(batch_size, sum(raw_sizes(sizes))), sizes)


def _first_positions(like: Tensor, lights: int) -> Float[Tensor, "L 3"]:
    """Where the lights begin, mm: the first in the middle, the others beside it, so that they can differ."""
    places = torch.stack([like.new_full((lights,), value) for value in _LIGHT_POSITION], dim=-1)  # no copy to a GPU
    steps = torch.arange(lights, device=like.device)
    places[:, 0] += _LIGHTS_APART * ((steps + 1) // 2) * (1 - 2 * (steps % 2))
    return places


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
