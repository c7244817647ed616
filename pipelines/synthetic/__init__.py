"""Synthetic in-the-wild photographs of people, with ground truth for everything that the pipeline estimates."""
