"""Rewrites words: option letters, abbreviations, compounds, spellings, plurals and articles."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from imaxray.metrics.normalising.numbers import DESIGNATORS
from imaxray.metrics.normalising.quantities import TOKEN

_VULGAR: Final = re.compile("([¼-¾⅐-⅞])")
_MARKS: Final = str.maketrans(
    {**dict.fromkeys("‐‑‒–—―−﹣", "-"), **dict.fromkeys("‘’‛`´ʼ", "'"), "⁄": "/", "∕": "/",
     "×": "x", "≤": "<=", "≥": ">=", "·": "."}
)  # fmt: skip
_PLUS_MINUS: Final = re.compile(r"\+\s?/?\s?-(?=\s?[.0-9])")

_OPTION: Final = re.compile(
    r"[\s\"'*]*(?:(?:option|choice|answer)\b[\s:]*)?[(\[{]?\s*([a-z])\s*[)\]}.:]*[\s\"'*]*"
)
_DOTTED: Final = re.compile(
    r"(?<![^\W_])(?:[a-z]\.){2,}(?![^\W_])|(?<![^\W_])(?:[a-z]\.)+[a-z](?![^\W_])"
)
_POSSESSIVE: Final = re.compile(r"(?<=[^\W_])'s(?![^\W_])|'")
_LETTER_NUMBER: Final = re.compile(r"(?<![^\W_])([a-z])-(?=[0-9])")

_COMPOUNDS: Final = tuple(
    (re.compile(rf"\b{apart}\b"), together)
    for apart, together in (
        (r"x (rays?)", r"x\1"),
        (r"follow (ups?)", r"follow\1"),
        (r"air space", "airspace"),
        (r"pace (makers?)", r"pace\1"),
        (r"(right|left|one|two)sided", r"\1 sided"),
        (r"(post|pre) (op|operative|operatively|procedural|contrast)", r"\1\2"),
        (r"post (surgical|traumatic|inflammatory|obstructive|primary)", r"post\1"),
    )
)
PREFIXES: Final = (
    "non", "pre", "peri", "para", "retro", "sub", "supra", "infra", "intra", "inter", "extra",
    "hemi", "bi", "uni", "multi", "mid", "anti", "semi", "cardio", "costo", "pneumo", "hydro",
    "hemo", "haemo", "broncho", "thoraco", "tracheo",
)  # fmt: skip
"""Words that are joined with the next word: ``non specific`` is ``nonspecific``."""

_STOP: Final = ("and", "or", "nor", "to", "the", "of", "an", "in", "on", "with", "for", "at")
_PREFIX: Final = re.compile(
    rf"\b({'|'.join(PREFIXES)}) (?!(?:{'|'.join(_STOP)})\b)(?=[^\W\d_]{{3}})"
)

BRITISH: Final = (
    ("oedem", "edem"), ("haem", "hem"), ("oesoph", "esoph"), ("oestr", "estr"), ("paed", "ped"),
    ("aemi", "emi"), ("noea", "nea"), ("rrhoea", "rrhea"), ("aesth", "esth"), ("gynaec", "gynec"),
    (r"\baeti", "eti"), (r"\bcaec", "cec"), (r"\bfaec", "fec"), (r"\bfoet", "fet"),
    (r"\bcoeli", "celi"), ("isation", "ization"),
    (r"(tum|col|fav|vap|lab|hum|behavi)our", r"\1or"), (r"\bcentred\b", "centered"),
    (r"\bcentre(?=s?\b)", "center"),
    (r"\bfibre", "fiber"), (r"\bcalibre\b", "caliber"), (r"(lit|met)re(s?)\b", r"\1er\2"),
    (r"\bgrey", "gray"), (r"\bartefact", "artifact"), (r"\bsulph", "sulf"),
    (r"\b((?:visual|local|general|character|hospital|organ|mobil|stabil|recogn|opac)i)s(e[ds]?|ing)\b",
     r"\1z\2"),
    (r"(label|travel|model)l(ed|ing)\b", r"\1\2"), (r"\bprogramme(s?)\b", r"program\1"),
)  # fmt: skip
"""British spelling (a pattern) → American spelling."""

_BRITISH: Final = tuple((re.compile(british), american) for british, american in BRITISH)

NOUNS: Final = (
    "abnormality", "abscess", "airway", "aneurysm", "angle", "apex", "area", "artery", "artifact",
    "base", "bleb", "bone", "border", "bulla", "calcification", "catheter", "cavity", "change",
    "chamber", "clavicle", "clip", "collection", "consolidation", "contour", "cyst", "deformity",
    "density", "device", "diaphragm", "drain", "edge", "effusion", "electrode", "field", "finding",
    "fissure", "fluid", "fracture", "granuloma", "heart", "hemidiaphragm", "hernia", "implant",
    "infiltrate", "interstitium", "joint", "lead", "lesion", "line", "lobe", "lucency", "lung",
    "lymph node", "margin", "marking", "mass", "metastasis", "module", "node", "nodule",
    "opacification", "opacity", "pacemaker", "patch", "plaque", "process", "reticulation", "rib",
    "scar", "scapula", "screw", "segment", "shadow", "shoulder", "side", "silhouette", "spine",
    "stent", "stripe", "structure", "suture", "tube", "tumor", "vein", "ventricle", "vertebra",
    "vessel", "view", "wire", "xray", "zone",
)  # fmt: skip
"""Findings, anatomy and devices whose plural counts as the singular."""

_IRREGULAR: Final = {
    "apices": "apex", "apexes": "apex", "atelectases": "atelectasis", "bronchi": "bronchus",
    "bullae": "bulla", "diagnoses": "diagnosis", "emboli": "embolus", "foci": "focus",
    "hemithoraces": "hemithorax", "hila": "hilum", "metastases": "metastasis",
    "pneumothoraces": "pneumothorax", "scapulae": "scapula", "stenoses": "stenosis",
    "thoraces": "thorax", "thrombi": "thrombus", "vertebrae": "vertebra",
}  # fmt: skip


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


_SINGULAR: Final = {_plural(noun): noun for noun in NOUNS} | _IRREGULAR

_NAMED_BY_LETTER: Final = frozenset(
    (*DESIGNATORS, "option", "choice", "answer", "vitamin", "hepatitis", "influenza", "part",
     "panel", "image", "figure", "box")
)  # fmt: skip
_JOINING: Final = frozenset(("and", "or", "nor", "vs", "versus"))


def characters(text: str) -> str:
    """Write compatible characters in one way: lower case, plain hyphens, quotes and signs.

    Example:
        >>> characters("≥ 2–3 CM²"), characters("52 +/- 3")
        ('>= 2-3 cm2', '52 ± 3')
    """
    plain = unicodedata.normalize("NFKC", _VULGAR.sub(r" \1", text)).lower()
    marked = unicodedata.normalize("NFKC", plain).translate(_MARKS)
    return _PLUS_MINUS.sub("±", " ".join(marked.split()))


def option_letters(text: str) -> str:
    """Reduce an answer that is only the letter of an option to the letter.

    Example:
        >>> option_letters("(a)"), option_letters("option b."), option_letters("a nodule")
        ('a', 'b', 'a nodule')
    """
    found = _OPTION.fullmatch(text)
    return found[1] if found else text


def abbreviations(text: str) -> str:
    """Join letters that are separated by full stops.

    Example:
        >>> abbreviations("an a.p. view")
        'an ap view'
    """
    return _DOTTED.sub(lambda found: found[0].replace(".", ""), text)


def possessives(text: str) -> str:
    """Remove the possessive ``'s`` and all other apostrophes.

    Example:
        >>> possessives("kerley's lines aren't seen")
        'kerley lines arent seen'
    """
    return _POSSESSIVE.sub("", text)


def hyphens(text: str) -> str:
    """Join a single letter with the number behind its hyphen.

    :func:`punctuation` makes a space of every other hyphen of a word.

    Example:
        >>> hyphens("t-12"), hyphens("right-sided")
        ('t12', 'right-sided')
    """
    return _LETTER_NUMBER.sub(r"\1", text)


def punctuation(text: str) -> str:
    """Keep words, quantities and dates; everything else separates them and becomes one space.

    Example:
        >>> punctuation("right-sided effusion, 15mm (stable)")
        'right sided effusion 15mm stable'
    """
    return " ".join(TOKEN.findall(text))


def compounds(text: str) -> str:
    """Write compound words in one way.

    Example:
        >>> compounds("x ray"), compounds("non specific"), compounds("rightsided")
        ('xray', 'nonspecific', 'right sided')
    """
    for apart, together in _COMPOUNDS:
        text = apart.sub(together, text)
    return _PREFIX.sub(r"\1", text)


def british_spellings(text: str) -> str:
    """Write British spellings as American ones.

    Example:
        >>> british_spellings("haemorrhagic tumour with oedema")
        'hemorrhagic tumor with edema'
    """
    for british, american in _BRITISH:
        text = british.sub(american, text)
    return text


def plurals(text: str) -> str:
    """Write the plurals of the words in NOUNS, and of some Latin ones, as singulars.

    Other words keep their ending, because many end in s themselves (atelectasis, pelvis, lens).

    Example:
        >>> plurals("pleural effusions at both bases"), plurals("pneumothoraces")
        ('pleural effusion at both base', 'pneumothorax')
    """
    return " ".join(_SINGULAR.get(word, word) for word in text.split())


def articles(text: str) -> str:
    """Remove articles; an ``a`` that stands alone, ends the text or names something is a letter.

    Example:
        >>> articles("a nodule in the lung"), articles("a"), articles("type a"), articles("a or b")
        ('nodule in lung', 'a', 'type a', 'a or b')
    """
    words = text.split()
    kept: list[str] = []
    if all((len(word) == 1 and word.isalpha()) or word in _JOINING for word in words):
        return text  # options: "a, c"
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else None
        named = bool(kept) and kept[-1] in _NAMED_BY_LETTER
        if word in ("the", "an"):
            continue
        if word == "a" and not named and following is not None and following not in _JOINING:
            continue
        kept.append(word)
    return " ".join(kept)
