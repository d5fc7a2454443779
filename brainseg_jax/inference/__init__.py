"""A model applied to examples: probabilities, mirror images, measures of a whole split."""
