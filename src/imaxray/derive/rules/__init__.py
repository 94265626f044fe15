"""The built-in rules, one module for each kind of fact that they read."""

from imaxray.derive.rules.builtin import BUILT_IN

__all__ = ["BUILT_IN"]
