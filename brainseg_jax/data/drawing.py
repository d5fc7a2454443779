"""Random numbers as augmentation draws them."""

import jax
from jaxtyping import Array, Float, Key


def symmetric(
    key: Key[Array, ""], size: float, shape: tuple[int, ...] = ()
) -> Float[Array, "..."]:
    """Uniform between -size and size."""
    return jax.random.uniform(key, shape, minval=-size, maxval=size)
