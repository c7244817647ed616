"""Faces in photographs: MTCNN (Zhang et al. 2016) with the weights that ship inside facenet-pytorch."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.networks.pooling import SlicedMaxPool

# MTCNN's last network looks at 48 px of face: beyond this size of the photograph's shorter side it sees nothing new.
DETECTION_SIDE_PX = 640
SMALLEST_FACE_PX = 20  # of MTCNN as published
PIXELS_AT_ONCE = 2**23  # bounds the memory of a batch


class Face(NamedTuple):
    """One detected face, in pixels of the photograph."""

    box: NDArray[np.float64]  # (4,) left, top, right, bottom
    confidence: float
    points: NDArray[np.float64]  # (5, 2) right eye, left eye, nose tip, right and left mouth corner


class FaceDetector:
    """MTCNN on batches of photographs of any sizes."""

    def __init__(self, *, minimum_face_fraction: float, batch_size: int, device: str) -> None:
        self.minimum_face_fraction = minimum_face_fraction
        self.batch_size = batch_size
        self._network = MTCNN(keep_all=True, post_process=False, device=device)
        for network in (self._network.pnet, self._network.rnet, self._network.onet):
            _pool_by_slices(network)

    def detect(self, photographs: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """All faces of each RGB photograph (H, W, 3), the largest box first; none in photographs under 20 px."""
        faces: list[list[Face]] = [[] for _ in photographs]
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        copies = {}
        for index, photograph in enumerate(photographs):
            if min(photograph.shape[:2]) >= SMALLEST_FACE_PX:
                copies[index] = _detection_copy(photograph)
                by_size[copies[index].shape].append(index)
        for (height, width, _), indices in by_size.items():
            at_once = max(1, min(self.batch_size, PIXELS_AT_ONCE // (height * width)))
            for first in range(0, len(indices), at_once):
                chunk = indices[first : first + at_once]
                for index, found in zip(chunk, self._detect_equal([copies[i] for i in chunk]), strict=True):
                    faces[index] = [_enlarged(face, photographs[index].shape, copies[index].shape) for face in found]
        return faces

    def _detect_equal(self, photographs: list[NDArray[np.uint8]]) -> list[list[Face]]:
        height, width = photographs[0].shape[:2]
        self._network.min_face_size = max(SMALLEST_FACE_PX, self.minimum_face_fraction * min(height, width))
        try:
            boxes, confidences, points = self._network.detect(_channels_apart(photographs), landmarks=True)
        except (IndexError, RuntimeError):  # facenet-pytorch drops candidates outside the picture and then miscounts
            return [found for one in photographs for found in self._detect_equal([one])] if photographs[1:] else [[]]
        return [_faces(*one) for one in zip(boxes, confidences, points, strict=True)]


def _pool_by_slices(network: nn.Module) -> None:
    """The same network, a third faster on a CPU."""
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.MaxPool2d) and isinstance(layer.kernel_size, int):
            setattr(network, name, SlicedMaxPool(layer.kernel_size))


def _channels_apart(photographs: list[NDArray[np.uint8]]) -> Tensor:
    """The photographs (B, H, W, 3) in a memory order in which MTCNN's pyramid takes a quarter of the time."""
    together = torch.from_numpy(np.stack(photographs))
    return together.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)


def _faces(boxes: object, confidences: object, points: object) -> list[Face]:
    if boxes is None:
        return []
    box_array, point_array = np.asarray(boxes, float), np.asarray(points, float)  # they come as arrays of objects
    return [Face(*one) for one in zip(box_array, np.asarray(confidences, float).tolist(), point_array, strict=True)]


def _detection_copy(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = photograph.shape[:2]
    factor = DETECTION_SIDE_PX / min(height, width)
    if factor >= 1:
        return photograph
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BOX))


def _enlarged(face: Face, original: tuple[int, ...], copy: tuple[int, ...]) -> Face:
    """The face of the detection copy in pixels of the photograph."""
    factor = np.array([original[1] / copy[1], original[0] / copy[0]])
    return Face(face.box * np.tile(factor, 2), face.confidence, face.points * factor)
