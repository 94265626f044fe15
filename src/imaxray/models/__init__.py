"""Models: how each family is spoken to. Importing this package imports torch."""

from imaxray.models._chat import ChatModel, EncodedEntry
from imaxray.models.phantom import PhantomConfig, PhantomModel

__all__ = ["ChatModel", "EncodedEntry", "PhantomConfig", "PhantomModel"]
