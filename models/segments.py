"""Names and numbers of the picture segments, shared by masks, labels and the face model's regions."""

SEGMENTS: tuple[str, ...] = (
    "background",
    "skin",
    "brows",
    "eyes",
    "nose",
    "lips",
    "inner_mouth",
    "hair",
    "glasses",
    "hat",
)
SEGMENT_INDEX: dict[str, int] = {name: index for index, name in enumerate(SEGMENTS)}

# Where the photograph shows the face surface that the face model renders.
FACE_SEGMENTS: tuple[str, ...] = ("skin", "brows", "eyes", "nose", "lips")
