"""Names the policies for uncertain labels, of which a build chooses one."""

from __future__ import annotations

from typing import Literal

Uncertain = Literal["ignore", "ones", "zeros", "ask"]
"""What entries make of a label that a release states as uncertain (-1).

- ``ignore``: the label is neither listed nor scored, and an image of which the answer would hang on
  it gets no entry; in particular, it is never answered by ``No Finding``.
- ``ones``: the label counts as positive.
- ``zeros``: the label counts as negative.
- ``ask``: the target names the label after the positive ones, as ``Possible Pneumonia``.
"""
