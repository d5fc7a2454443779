"""TFDS builders. They import nothing from brainseg_jax and can be copied elsewhere."""
