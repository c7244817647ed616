"""A 3D viewer in one HTML file: faces under the pipeline's own light, scans with their errors; plain WebGL 2."""
