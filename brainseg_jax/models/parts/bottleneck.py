"""The deepest features of a net, where others may look at them and move them.

A net marks them with `mark`; nothing changes where nobody asks. They are seen by applying
the model with `mutable=SEEN`, and moved by variables that `moved` makes: a gradient with
respect to the shift is one with respect to the features (inference/gradcam.py).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

SEEN, SHIFT, NAME = "intermediates", "shift", "deepest_features"


def mark(
    module: nn.Module, features: Float[Array, "n *space f"]
) -> Float[Array, "n *space f"]:
    """The features as they are, or moved by who applies the model with a shift."""
    module.sow(SEEN, NAME, features)
    if module.has_variable(SHIFT, NAME):
        features = features + module.get_variable(SHIFT, NAME)
    return features


def moved(variables: Mapping[str, Any], shift: Any) -> dict[str, Any]:
    """Variables by which the marked features are moved; or shapes by a shape."""
    return {**variables, SHIFT: {NAME: shift}}


def seen(collections: Mapping[str, Any]) -> Array:
    """The marked features, of the collections that came back with the logits.

    Raises:
        ValueError: if the model marks none, or several models were applied as one.
    """
    own = collections.get(SEEN, {})
    if NAME not in own:
        raise ValueError(
            "The model marks no features of its own (models/parts/bottleneck.py); several "
            "models as one have none, but each of them has."
        )
    (features,) = own[NAME]
    return features
