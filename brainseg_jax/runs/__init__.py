"""A run: built from its config, restored from its checkpoints, recorded, resumed."""
