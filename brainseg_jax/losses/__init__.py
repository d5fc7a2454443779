"""Losses, one file each: `loss(logits, target, ...)` gives one value per example.

Each raises ValueError for a target that does not fit the logits, and for class weights that
are not one per class, negative, or all zero.
"""
