"""What stands below each figure of the report page."""

from pathlib import Path
from typing import NamedTuple


class Caption(NamedTuple):
    """A figure file with its heading and the words below it, which also describe it to people who do not see it."""

    file: str
    title: str
    text: str

    @property
    def file_on_page(self) -> str:
        """The smaller copy of the figure that the page shows."""
        return Path(self.file).with_suffix(".webp").name


PAPER_FIGURES = (
    Caption(
        "figure3_uniform_loss.png",
        "Figure 3: uniform loss",
        "Lit diffuse and lit specular albedo and their sum, with (full) and without (− uniform) the uniform loss."
        " Without it highlights may stay in the diffuse albedo.",
    ),
    Caption(
        "figure4_ablation.png",
        "Figure 4: identity, photometric and regularisation loss",
        "The rendering over the photograph, and below it the shape, by the full model and without one loss each.",
    ),
    Caption(
        "figure5_inner_mouth.png",
        "Figure 5: inner-mouth loss",
        "Close-ups from open to nearly closed mouths: photograph, then picture and shape without and with the loss."
        " The opening is drawn dark.",
    ),
    Caption(
        "figure6_micc.png",
        "Figure 6: shape error on MICC",
        "A frame of each kind of clip, the averaged meshes of our model and of the diffuse-only control, the mean face,"
        " the scan, and its point-to-plane distance to each after registration; grey: outside the crop of the protocol."
        " 3DDFA_V2, MGCNet, WSL, PRNet and RingNet: not built.",
    ),
    Caption(
        "figure7_gallery.png",
        "Figure 7: examples",
        "Photograph, full rendering over it, diffuse part, specular part, shape, and the estimated light on a grey"
        " sphere. MoFA and Genova et al.: not built.",
    ),
)

ERROR_MAPS = Caption(
    "figure6_micc.png",
    "The scans of Figure 6 in 3D",
    "One subject for each kind of clip, coloured by the point-to-plane distance to the registered mesh.",
)  # follows that figure

CURVES = (
    Caption(
        "curves_regressor.png",
        "Regressor",
        "The six losses and their weighted sum over the iterations, one line for each variant.",
    ),
    Caption(
        "curves_networks.png",
        "Other networks",
        "Losses of the networks that label the photographs and of FaceNet, with the shares of its triplets whose loss"
        " is not 0 (active) and whose negative is semi-hard.",
    ),
)

VERIFICATION = Caption(
    "verification.png",
    "Face recogniser: verification",
    "ROC curve over pairs of held-out photographs: are both of one person? Dashed: by chance.",
)

FACE_MODEL = Caption(
    "face_model.png",
    "Face model",
    "Mean face (full, turned, diffuse, specular, shape, light); the first identity modes at minus and plus three"
    " standard deviations; facial actions; skins from light to dark; random people; the mean face in ambient,"
    " directional, coloured and mixed light, two of each.",
)
