"""Synthetic patients: a head with a tumour, written as raw files of each publisher."""
