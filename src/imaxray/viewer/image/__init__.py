"""Shows one image: its pixels and annotations, how a model reads them, and code for them."""
