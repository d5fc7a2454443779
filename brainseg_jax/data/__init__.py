"""Prepared data sets and image files, and the batches that are made of them."""
