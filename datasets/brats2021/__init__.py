"""Glioma: volumes of four MR sequences with oedema, core and enhancing tumour (BraTS)."""
