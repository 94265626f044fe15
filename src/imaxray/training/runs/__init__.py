"""Keeps what a training run leaves behind: its folder, manifest, checkpoints and learning curve."""
