"""Losses, one file each: `loss(logits, target, ...)` gives one value per example."""
