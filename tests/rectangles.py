"""Draws a rectangle into an image and finds it again, and reads the numbers of a written box."""

import random
import re

import numpy as np


def marked(size, box):
    """A black image with a white rectangle."""
    pixels = np.zeros(size[::-1], np.uint8)
    x1, y1, x2, y2 = map(round, box)
    pixels[y1:y2, x1:x2] = 255
    return pixels


def lit(image):
    """Edges of the rectangle: x1, y1, x2, y2 in pixels of the image."""
    ys, xs = np.nonzero(np.asarray(image.convert("L")) > 127)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def numbers(convention, text, frame):
    """The four numbers of a text in pixels of the frame, and one unit of them, along x and y."""
    text = text.replace("box_2d", "")
    found = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
    a, b, c, d = found
    x1, y1, x2, y2 = (b, a, d, c) if convention.y_first else (a, b, c, d)
    scale = (frame.width, frame.height) if convention.scale is None else (convention.scale,) * 2
    middle = 0.5 if convention.bins else 0.0
    px, py = frame.width / scale[0], frame.height / scale[1]
    unit = 10.0**-convention.decimals
    return ((x1 + middle) * px, (y1 + middle) * py, (x2 + middle) * px, (y2 + middle) * py), (
        px * unit, py * unit,
    )  # fmt: skip


def sizes_and_boxes(count, seed=0):
    random.seed(seed)
    for _ in range(count):
        size = random.randint(300, 1400), random.randint(300, 1400)
        side = min(size)
        left, top = ((length - side) / 2 for length in size)
        x1, y1 = (random.uniform(start, start + side * 0.6) for start in (left, top))
        wide, high = (random.uniform(side * 0.1, side * 0.35) for _ in range(2))
        yield size, tuple(map(float, map(round, (x1, y1, x1 + wide, y1 + high))))
