"""What several losses are made of."""
