"""Protocols of the shape error, each a value with a name: what a published number means.

Numbers are comparable only inside one protocol: one method has 1.78 mm under one and 1.50 mm under another.
`evaluate.protocol` takes a name; a further protocol is a further entry here.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Direction = Literal["scan_to_mesh", "mesh_to_scan", "symmetric"]
Distance = Literal["plane", "surface"]
Statistic = Literal["mean", "rmse", "median", "std"]
Scale = Literal["icp", "method", "landmarks"]
Region = Literal["face", "nose", "mouth", "forehead", "cheek"]


class NoseTip(NamedTuple):
    """A crop of the scan: a ball around the tip of the nose."""

    radius_mm: float


class EyesAndNose(NamedTuple):
    """A crop of the scan: a ball around a point at 0.3 of the way from the bottom of the nose to its bridge.

    Its radius is `factor` times the mean of two distances: between the outer corners of the eyes, and along the nose.
    """

    factor: float


@dataclass(frozen=True)
class Protocol:
    """What a shape error means."""

    name: str
    source: str
    crop: NoseTip | EyesAndNose
    direction: Direction = "scan_to_mesh"  # which surface's points are measured
    distance: Distance = "plane"  # of the nearest vertex, or to the closest point of the surface
    statistic: Statistic = "mean"  # over the points of a sample
    scale: Scale = "icp"  # found by ICP for each sample, one for all samples of a method, or by the landmarks
    region: Region = "face"  # the part of the scan that is registered and measured
    overlap_only: bool = False  # leaves out what lies beyond the rim of the other surface
    best_scan: bool = False  # the least error over the frontal scans of a subject

    @property
    def needs_landmarks(self) -> bool:
        """Whether a scan without marked landmarks cannot be measured."""
        return isinstance(self.crop, EyesAndNose) or self.scale == "landmarks" or self.region != "face"

    @property
    def description(self) -> str:
        """The protocol in words, for captions."""
        parts = [_SCALES[self.scale], _DISTANCES[self.distance], self.direction.replace("_", " "), self._where]
        parts += ["inside the rims of both"] if self.overlap_only else []
        parts += ["least over the frontal scans"] if self.best_scan else []
        return ", ".join([*parts, self.statistic])

    @property
    def _where(self) -> str:
        if self.region != "face":
            return f"{self.region} only"
        if isinstance(self.crop, EyesAndNose):
            return f"within {self.crop.factor:g} times the mean size of eyes and nose"
        return f"within {self.crop.radius_mm:g} mm of the nose tip"


_SCALES = {
    "icp": "ICP with isotropic scale",
    "method": "ICP with one scale for each method",
    "landmarks": "rigid ICP at the landmarks' scale",
}
_DISTANCES = {"plane": "point-to-plane", "surface": "closest point on the surface"}

_NOW = Protocol(
    name="now_median",
    source="Sanyal et al. 2019, non-metrical; here each sample has its statistic, there all samples' points share one",
    crop=EyesAndNose(1.4),
    distance="surface",
    statistic="median",
)
_REALY = Protocol(
    name="realy_nose",
    source="like REALY (Chai et al. 2022): scale by seven landmarks, then rigid ICP for each region; REALY's regions"
    " are drawn by hand and its error follows a non-rigid registration, ours are those of the nearest landmarks, and"
    " the error is that of the closest point",
    crop=NoseTip(95.0),
    distance="surface",
    scale="landmarks",
    region="nose",
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="paper",
            source="Deng et al. 2022, Sec. 5: isotropic scale, point-to-plane; it states neither crop, direction nor"
            " statistic (95 mm: Deng et al. 2019)",
            crop=NoseTip(95.0),
        ),
        Protocol(
            name="deng2019",
            source="Deng et al. 2019, by their public answers: root mean square within 95 mm, scale for each mesh; the"
            " direction is as far as known, and the upper forehead, which they cut away, stays here",
            crop=NoseTip(95.0),
            statistic="rmse",
        ),
        Protocol(
            name="genova2018",
            source="Genova et al. 2018, as far as known: one scale for each method, the intersection of both surfaces;"
            " the crop of 95 mm is assumed, the scale is the median of those that ICP finds",
            crop=NoseTip(95.0),
            scale="method",
            overlap_only=True,
        ),
        Protocol(
            name="ganfit",
            source="Gecer et al. 2019, by their code, without its non-rigid registration of the scan and its smaller"
            " crop for one subject",
            crop=NoseTip(95.0),
            direction="symmetric",
            distance="surface",
            best_scan=True,
        ),
        _NOW,
        replace(_NOW, name="now_mean", statistic="mean"),
        replace(_NOW, name="now_std", statistic="std"),
        _REALY,
        replace(_REALY, name="realy_mouth", region="mouth"),
        replace(_REALY, name="realy_forehead", region="forehead"),
        replace(_REALY, name="realy_cheek", region="cheek"),
    )
}
