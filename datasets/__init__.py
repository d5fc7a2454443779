"""TFDS builders; they import nothing from brainseg_jax and can be copied elsewhere."""
