"""Finds the fields of a file about provenance that are null and should say something."""

import re

OPTIONAL = {
    r"\.(identity\.)?boxes\.(key|tags|fence)": "the convention writes no such mark",
    r"\.(identity\.config|recipe)\..+": "an option that was not set",
    r"\.config\.curation\.conflicts\.rules\.[\w-]+\.threshold": "that of the clinical rule",
    r"\.config\.(imax|dmax)\..+": "no limit was set",
    r"\.(identity\.)?model\.commit": "weights in a local folder have no commit",
    r"\.(identity\.)?image_cache": "no image cache was named",
    r"\.identity\.batches\.image_tokens": "no limit was set",
    r"\.identity\.images\.max_pixels": "no limit was set",
    r"\.packages\..+": "an extra that is not installed",
}
"""Fields that may be null, each with what null means."""


def unsaid(value, path=""):
    """The paths of all nulls in a JSON value that are not optional."""
    if value is None:
        return [] if any(re.fullmatch(field, path) for field in OPTIONAL) else [path]
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in unsaid(one, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for k, one in enumerate(value) for found in unsaid(one, f"{path}[{k}]")]
    return []
