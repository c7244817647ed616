"""Steps that move data: file formats, batching, progress."""
