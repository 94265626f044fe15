"""Lets an OpenAI-compatible chat server answer the entries of a split; needs no torch.

Only this package opens a connection to a server of the user's.
"""

from imaxray.evaluation.generation.hosted.answering import answer_hosted, evaluate_hosted

__all__ = ["answer_hosted", "evaluate_hosted"]
