"""What people look at: figures, the report page and its 3D viewer, all from predictions, tables and weights on disk."""
