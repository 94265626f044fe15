"""Image-centric multi-annotation data for medical multimodal LLMs."""

__version__ = "0.1.0"
