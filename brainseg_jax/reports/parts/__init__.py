"""Figures that the reports draw."""
