"""What can be done, one file per --mode: the doors, and the only places with effects."""
