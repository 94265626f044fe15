"""Commands on releases and datasets."""
