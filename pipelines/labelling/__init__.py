"""Labels layer by layer: crops, segments, skin probability, landmarks, inner-mouth masks, and how good they are."""
