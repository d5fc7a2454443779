"""Scores: overlap from counts, of classified images, and intervals over patients."""
