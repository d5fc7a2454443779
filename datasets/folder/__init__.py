"""Your own pictures: with masks, sorted into folders of classes, or as nnU-Net has them."""
