"""Labels layer by layer: aligned crops, segments, skin probability, landmarks, inner-mouth masks, and how good they are."""
