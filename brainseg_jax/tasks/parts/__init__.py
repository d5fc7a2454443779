"""The type that every task is made of."""
