"""What several architectures are made of: layers, blocks, encoders. No models."""
