"""Published weights: reading files, names of layers, downloads, placing in parameters."""
