"""Published weights: files, names, downloads, and their way into parameters."""
