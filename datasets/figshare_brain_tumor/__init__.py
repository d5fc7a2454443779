"""Meningioma, glioma and pituitary tumour: enhanced T1 slices (figshare, Cheng)."""
