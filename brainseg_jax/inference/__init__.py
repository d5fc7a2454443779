"""A model applied to examples: probabilities, mirror images, what a split scores."""
