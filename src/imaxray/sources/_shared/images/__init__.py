"""Looks at the images of a release: files, sizes, masks, and who else has the same images."""
