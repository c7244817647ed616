"""The same pipeline with several seeds: running it, and what the runs say together."""
