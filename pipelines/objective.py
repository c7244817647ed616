"""What the regressor is trained for: the six losses of a batch of predictions, weighted for a variant."""

import torch
from torch import Tensor, nn

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.losses import (
    Losses,
    identity_loss,
    landmark_importance,
    landmark_loss,
    mouth_loss,
    photometric_loss,
    regularization_loss,
    uniform_loss,
)
from models.renderer import Rendering, diffuse_picture, full_picture, landmark_pixels, pose_face, render
from pipelines.dataset import Batch, Prepared
from pipelines.params import TrainParams, Variant
from pipelines.variants import variant_full_weight, variant_weights


class Objective(nn.Module):
    """Everything that stays fixed while the regressor learns: face model, camera, recogniser and loss weights."""

    importance: Tensor
    uniform_vertices: Tensor

    def __init__(
        self,
        model: FaceModel,
        recognizer: nn.Module,
        camera: Camera,
        crop_size: int,
        params: TrainParams,
        variant: Variant,
    ) -> None:
        super().__init__()
        self.model, self.recognizer, self.camera = model, recognizer.eval().requires_grad_(False), camera
        self.crop_size, self.params, self.variant = crop_size, params, variant
        self.weights, self.full_weight = variant_weights(params, variant), variant_full_weight(params, variant)
        self.register_buffer("importance", landmark_importance(params.important_landmarks))
        self.register_buffer("uniform_vertices", torch.where(model.region_mask("skin", "nose"))[0])

    def forward(self, coefficients: Coefficients, batch: Batch, prepared: Prepared) -> tuple[Losses, Rendering]:
        """The six losses of a batch of predictions; a loss that this variant drops and that costs much reads NaN."""
        face = pose_face(self.model, coefficients, self.camera)
        rendering = render(
            self.model,
            face,
            self.params.render_size,
            mouth_samples=self.params.mouth_samples,
            edge_method=self.params.edge_method,
        )
        full = full_picture(rendering)
        lit_skin = face.lit.index_select(1, self.uniform_vertices)
        losses = Losses(
            id=self._identity(full, batch.features),
            photo=photometric_loss(
                prepared.image,
                diffuse_picture(rendering),
                full,
                mask=prepared.face * rendering.coverage,
                skin_probability=prepared.skin,
                full_weight=self.full_weight,
            ),
            lmk=landmark_loss(landmark_pixels(self.model, face, self.crop_size), batch.landmarks, self.importance),
            mouth=mouth_loss(
                rendering.mouth,
                prepared.mouth,
                prepared.mouth_visible,
                (self.crop_size / self.params.render_size) ** 2,
            ),
            reg=regularization_loss(coefficients),
            uniform=uniform_loss(lit_skin[..., :3], coefficients.sh_coefficients),
        )
        return losses, rendering

    def _identity(self, full: Tensor, features: Tensor) -> Tensor:
        if self.weights["id"] == 0:
            return full.new_full((), torch.nan)
        return identity_loss(features, self.recognizer(full))
