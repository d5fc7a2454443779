"""Brain tumour segmentation and classification in MRI, in JAX."""
