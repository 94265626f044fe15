"""Fuses what all answers about an image say into calibrated facts, and answers from these."""

from imaxray.pseudo.selecting.fusing.fuse import Fused, fuse

__all__ = ["Fused", "fuse"]
