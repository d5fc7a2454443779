"""What several losses share: targets by class, soft overlap."""
