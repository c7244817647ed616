"""The network of Fig. 2: a convolutional backbone that regresses every coefficient group of one photograph.

Deviation: a ResNet averages its features over the whole picture, and so needs a feature for each place to say where
something is. 200 k iterations teach it that. With a grid of features, each averaged over its own cell of the picture,
few iterations find poses and faces better; a grid of one cell is the paper's network.

Deviation: a cell is a quarter of the picture wide, and eyelids are a hundredth apart. The places of the landmarks, read
off heatmaps of the backbone's feature maps, are features as well; without `landmark_points` it is the paper's network.
"""

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torchvision.models import ResNet

from models.coefficients import Coefficients, CoefficientSizes
from models.networks.heatmaps import feature_maps
from models.networks.landmark_points import POINT_FEATURES, LandmarkPoints

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
_LOG_SHININESS_SCALE = 0.25

_CELL_CHANNELS = 64  # features of each cell, where there are several


class Regressor(nn.Module):
    """Photograph crop (B, 3, size, size), sRGB in 0..1 → coefficients; any size, best at that of its training.

    `grid` × `grid` cells of the picture have features of their own. With `landmark_points` the places of the landmarks
    are features too: for these the backbone must be a ResNet, else ValueError.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, sizes: CoefficientSizes, grid: int = 1, landmark_points: bool = False) -> None:
        super().__init__()
        self.sizes, self.grid = sizes, grid
        self.backbone, channels = _headless(backbone, grid)
        self.cells = nn.Identity() if grid == 1 else _cell_features(channels, grid)
        self.points = _landmark_points(self.backbone, channels) if landmark_points else None
        feature_size = channels if grid == 1 else _CELL_CHANNELS * grid**2
        feature_size += POINT_FEATURES * landmark_points
        self.head = nn.Linear(feature_size, sum(raw_sizes(sizes)))
        nn.init.normal_(self.head.weight, std=1.0e-3)  # begins near the mean face in the prior's light
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Coefficients:
        """Regress the coefficients; always in 32 bits, whatever precision the backbone runs in."""
        normalized = (image - self.mean) / self.std
        if self.points is None:
            features, points = self.backbone(normalized), []
        else:
            maps = feature_maps(self.backbone, normalized)
            features, points = adaptive_avg_pool2d(maps[-1], self.grid).flatten(1), [self.points(maps)]
        with torch.autocast(image.device.type, enabled=False):
            raw = self.head(torch.cat([self.cells(features.float()), *points], dim=-1))
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


def _headless(backbone: str, grid: int) -> tuple[nn.Module, int]:
    """A torchvision classifier without its last layer, and the number of its features, of each cell if several."""
    network = torchvision.models.get_model(backbone, weights=None)
    if grid > 1:
        network.avgpool = nn.AdaptiveAvgPool2d(grid)
    if hasattr(network, "fc"):
        size, network.fc = network.fc.in_features, nn.Identity()
    elif grid > 1 and isinstance(network.classifier[0], nn.Linear):  # made for a single cell
        size, network.classifier = network.classifier[0].in_features, nn.Identity()
    else:
        size, network.classifier[-1] = network.classifier[-1].in_features, nn.Identity()
    return network, size


def _landmark_points(backbone: nn.Module, channels: int) -> LandmarkPoints:
    if not isinstance(backbone, ResNet):
        raise ValueError(f"landmark points: expected a ResNet as backbone, got {type(backbone).__name__}")
    return LandmarkPoints(channels)


def _cell_features(channels: int, grid: int) -> nn.Module:
    """(B, C · grid²) → (B, features of all cells): few of each, or the head would learn the photographs by heart."""
    return nn.Sequential(
        nn.Unflatten(1, (channels, grid, grid)),
        nn.Conv2d(channels, _CELL_CHANNELS, 1, bias=False),
        nn.BatchNorm2d(_CELL_CHANNELS),
        nn.ReLU(inplace=True),
        nn.Flatten(),
    )
