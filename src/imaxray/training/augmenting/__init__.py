"""Augments the images of training: draws a change, applies it to pixels and boxes, shows it."""
