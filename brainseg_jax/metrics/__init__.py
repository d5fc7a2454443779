"""Scores of masks and of classified slices, with intervals over patients."""
