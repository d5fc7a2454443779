"""Lower-grade glioma: axial MR slices with FLAIR abnormality masks (Kaggle, TCGA)."""
