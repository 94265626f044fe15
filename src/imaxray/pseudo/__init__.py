"""Pseudo IMAX: a model fills in the tasks that decentralized images lack; what of it to keep."""

from imaxray.pseudo._table import PSEUDO

__all__ = ["PSEUDO"]
