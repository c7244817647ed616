"""Where photographs come from: one layout a file, each listing the files it finds."""
