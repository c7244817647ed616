"""The NoW benchmark: its layout, predictions as its submissions want them, errors on its validation scans."""
