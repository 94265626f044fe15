"""Reads labels with medspaCy's ConText, to compare it with the labeller's own rules.

The phrases are the labeller's, so that only the reading of cues differs. Sentences are found by
spaCy's rule-based sentencizer, because no trained model is at hand. ConText's rules are those that
medspaCy ships. A negated or historical phrase is denied or not mentioned, an uncertain one is
uncertain, and a hypothetical one is not mentioned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imaxray.labeller.phrases import ANY, NORMAL
from imaxray.schema import CHEXPERT


def context_reader() -> Callable[[str], Mapping[str, int]]:
    """Return a function that reads the labels of a text with ConText.

    Raises:
        ImportError: If medspaCy is not installed.
    """
    import medspacy.context  # noqa: F401  # registers the component
    import spacy
    from spacy.util import filter_spans

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    context = pipeline.add_pipe("medspacy_context")
    pipeline.remove_pipe("medspacy_context")

    def read(text: str) -> Mapping[str, int]:
        low = " ".join(text.lower().split())
        document = pipeline(low)
        said: dict[str, set[int]] = {}
        for label, pattern in ANY.items():  # by label: phrases of two labels may overlap
            spans = [
                document.char_span(match.start(), match.end(), label, alignment_mode="expand")
                for match in pattern.finditer(low)
            ]
            document.ents = filter_spans([span for span in spans if span is not None])
            for span in context(document).ents:
                about = span._
                if about.is_historical or about.is_hypothetical or about.is_family:
                    continue
                value = 0 if about.is_negated else -1 if about.is_uncertain else 1
                said.setdefault(label, set()).add(value)
        for label, pattern in NORMAL.items():
            if pattern.search(low):
                said.setdefault(label, set()).add(0)
        return {
            label: next(value for value in (1, -1, 0) if value in said[label])
            for label in CHEXPERT
            if label in said
        }

    return read
