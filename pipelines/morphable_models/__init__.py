"""Readers of published morphable face models, and what brings them all into one form."""
