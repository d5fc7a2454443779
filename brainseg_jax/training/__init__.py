"""A training step and all that it is made of: state, loss, optimisers, freezing. Pure."""
