"""Recipes that several experiments share."""
