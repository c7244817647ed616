"""MICC, FaceScape and AFLW2000-3D: readers of the real data sets, twins in the same layout, one common form."""
