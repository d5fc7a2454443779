"""What every task is."""
