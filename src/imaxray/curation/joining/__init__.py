"""Joins the images and annotations of all releases, and finds what contradicts."""
