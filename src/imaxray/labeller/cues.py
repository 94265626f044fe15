"""Lists the words that deny, doubt or set aside what a sentence says, with the way they act.

Each entry of :data:`CUES` is a kind and its expressions. The order matters: where expressions of
several kinds match at one place, the first kind is taken. So "no change in" is found before "no",
and "cannot be excluded" before "excluded".
"""

from __future__ import annotations

import re
from typing import Final

_CHANGED: Final = r"(?:chang|increas|decreas|improv|worsen|progress)\w*"
_SEEN: Final = (
    r"(?:seen|identified|present|visible|visuali[sz]ed|evident|demonstrated|appreciated|detected"
    r"|noted|apparent|found|observed|shown|there|perceived|recogni[sz]ed|suspected|suggested"
    r"|depicted|displayed|delineated|discernible|confirmed|a concern)"
)
_POORLY: Final = (
    r"(?:well|clearly|optimally|fully|adequately|definitely|definitively|completely|entirely"
    r"|reliably|confidently|sufficiently|completely)"
)
_DEGREE: Final = (
    r"(?:(?:significant|substantial|appreciable|interval|definite|obvious|evidence of|evidence for"
    r"|signs? of|major|gross|clear|convincing|further|marked|any|acute|or|and|overall)\W+){0,6}"
)
_ADVERB: Final = r"(?:\w+ly |yet |at all ){0,3}"
_WHOLLY: Final = (
    r"(?:(?!nearly|partly|partially|incompletely|mostly|largely|probably|possibly|likely|apparently"
    r"|presumably)\w+ly |since |now ){0,3}"
)

CUES: Final[dict[str, tuple[str, ...]]] = {
    # a gap where a word was removed to protect the patient
    "gap": (r"xxxx",),
    # what is sought or was there before is not what the image shows; up to the sentence's end
    "sought": (
        r"(?:evaluat\w*|assess\w*|eval) (?:\w+ )?for",
        r"evaluation of",
        r"rule out",
        r"r/o",
        r"follow[- ]?up (?:of|for)",
        r"indication",
        r"clinical (?:history|concern|question)",
        r"reason for",
        r"\d{1,3}[- ](?:years?|y)[- ]?(?:old|o)\b",
        r"\d{1,3} ?y/?o\b",
        r"risks? (?:of|for|factors?)",
        r"if",
        r"(?:symptoms|complain\w*|complaints?) of",
        r"correlat\w+ (?:\w+ )?for",
        r"(?:could|may|might|can) (?:obscure|mask|hide)",
        r"sensitive (?:in|for|to)",
        r"to (?:identify|detect|establish)",
        r"detect(?:ing|ion)(?: of)?",
    ),
    # what is said of an earlier image or time
    "earlier": (
        r"(?:(?:past|medical|known|remote|prior|previous) ){0,3}history of",
        r"hx of",
        r"h/o",
        r"(?:prior|previous|old|remote|earlier|treated|recent|sequelae? of)(?: \w+)?"
        r"(?= (?:pneumonias?|infections?)\b(?! (?:is|are|has|have|remains?)\b))",
        r"(?:prior|previous|old|earlier|outside|last)(?: \w+){0,3} (?:show(?:ed|s|ing)"
        r"|demonstrated|revealed|reported|described|had)",
    ),
    # as "earlier", up to the end of the clause
    "compared": (
        r"(?:when |as )?compar(?:ed|ison|ing) (?:to|with)",
        r"in comparison (?:to|with)",
        r"comparison",
        r"since the (?:prior|previous|last)",
    ),
    # words that look like a denial and are none
    "affirms": (
        rf"(?:no|without(?: any)?|nor) {_DEGREE}(?:radiographic )?(?:interval )?"
        r"(?:chang\w*|increas(?:e|es)|decreas(?:e|es)|improvements?|progression|resolution"
        r"|regression|clearing|differences?|worsening (?:of|in)|deterioration|enlargement|growth"
        r"|alterations?|removal)(?: (?:in|of|to))?(?= |$|\W)",
        rf"(?:is|are|was|were|has|have|had)? ?not {_ADVERB}(?:been )?{_ADVERB}(?:{_CHANGED}"
        r"|resol\w+|clear(?:ed|ing)|gone|removed|withdrawn|disappeared)",
        rf"(?:is|are|was|were)? ?not {_ADVERB}(?:without|free (?:of|from)|clear of|absent"
        r"|negative for)",
        r"no (?:evidence|signs?|indication|proof) that(?= [\w ]{1,40}? (?:has|have|is|are|was)"
        rf" (?:\w+ly )?(?:{_CHANGED}|grown|enlarg\w+|resolved|moved|larger|smaller|new)\b)",
        r"not (?:the case|true) that there (?:is|are) no",
        r"not only",
        r"(?:no|without(?: a)?) (?:doubt|question)",
        r"no absence of",
        r"no (?:prior|previous|priors|comparison|old)s?(?: \w+){0,2}? (?:available|films?|stud(?:y|"
        r"ies)|exams?|examinations?|images?|radiographs?|comparisons?)",
        r"no(?:t)? further (?:evaluation|imaging|follow)",
        r"gram[- ]negative",
        r"(?:in|near(?:ly)?|almost|partial(?:ly)?|somewhat|mostly|largely|not)"
        r"[- ]?(?:complete(?:ly)? |yet )?(?:resol(?:ution(?: of)?|ved)|cleared)",
        r"partial removal of",
        r"(?:should|could|to|can) be (?:removed|withdrawn)",
    ),
    # "no new effusion" does not say whether there is an older one
    "no_new": (
        r"(?:no|without(?: any)?|not|negative for) (?:(?:evidence|signs?) (?:of|for) )?(?:(?:a|any"
        r"|acute|definite|significant|obvious|interval|convincing|focal|or|and)\W+){0,6}"
        r"(?:new(?:ly)?|worsening|worse|worsened|increas(?:ing|ed)|additional|further|progressive"
        r"|progressing|enlarging|interval (?:development|appearance) of)",
    ),
    # doubt; it falls on what follows in its clause, or else on what stands before it
    "doubts_before": (
        rf"(?:is|are|was|were|be|been)? ?not {_ADVERB}{_POORLY}[ -]\w+(?:ed|en|ible)\b",
        rf"(?:is|are) poorly {_SEEN}",
        r"(?:can ?not|can|could|may|should|is|are|was"
        r"|were)? ?(?:not )?(?:be )?(?:\w+ly )?not (?:be )"
        r"?(?:\w+ly )?(?:excluded|ruled out)",
        r"(?:can ?not|could not) (?:be )?(?:\w+ly )?(?:excluded|ruled out)",
        r"(?:(?:is|are|was|were|be|been|can|could|can ?not|could not) )*(?:neither |either )?"
        r"(?:be )?(?:confirmed|ruled in|established|proven) (?:n?or|and) (?:be )?(?:excluded"
        r"|ruled out|refuted|denied)",
        r"(?:(?:is|are|was|were|be|been|can|could|can ?not|could not) )*(?:neither |either )?"
        r"(?:be )?(?:excluded|ruled out|refuted) (?:n?or|and) (?:be )?(?:confirmed|ruled in"
        r"|established|proven)",
        r"(?:can ?not|could not) be (?:\w+ly )?(?:confirmed|ruled in|established|proven|verified)",
        r"(?:is|are|remains?) (?:not )?(?:in )?(?:question(?:ed)?|doubtful|uncertain|equivocal)",
        r"difficult to (?:exclude|rule out) (?=$)",
    ),
    "doubts": (
        r"(?:not|im) ?possible to (?:exclude|rule out)",
        r"(?:can ?not|could not|can not|difficult to|to|not) (?:be )?(?:\w+ly )?(?:exclude"
        r"|rule out)",
        r"no (?:definite|certain|clear|convincing) absence of",
        r"not (?:\w+ly )?(?:likely|probable|favou?red)",
        r"unlikely",
        r"less likely",
        r"more likely",
        r"may(?! \d)",
        r"might",
        r"could",
        r"possibl[ey]",
        r"possibilit(?:y|ies)(?: of| for)?",
        r"probabl[ey]",
        r"likely",
        r"questionabl[ey]",
        r"questions?(?: of)?",
        r"questioned",
        r"suspect\w*",
        r"suspicio\w*",
        r"concern\w*",
        r"suggest\w*",
        r"presum\w*",
        r"potential\w*",
        r"equivocal\w*",
        r"doubtful",
        r"uncertain",
        r"perhaps",
        r"differential",
        r"borderline",
        r"favou?r\w*",
        r"apparent(?:ly)?(?= \w)",
        r"doubt",
        r"versus|vs",
        r"top[- ]normal",
        r"upper limits?",
        r"worrisome",
        r"conceivabl[ey]",
    ),
    # "resolved pneumonia"; "the pneumonia resolved" is below
    "resolved": (
        r"(?<!has )(?<!have )(?<!is )(?<!are )(?<!was )(?<!were )(?<!been )(?<!ly )resolved(?= (?!"
        r"(?:in|on|since|with|and|or|after|at|by|from|over|now|compared|between|the|\w+ly)\b)\w)",
    ),
    # denial of what stands before it in its clause, or else of what follows
    "denies_before": (
        rf"(?:is|are|was|were|be|been|can|cannot|could|can not)? ?(?:not|never) (?:be )?{_ADVERB}"
        rf"(?:otherwise )?{_SEEN}",
        rf"cannot be {_ADVERB}{_SEEN}",
        r"not any ?more",
        r"no longer(?: any| a)?",
        rf"(?:(?:has|have|had|is|are|was|were) )?{_WHOLLY}(?:been )?{_WHOLLY}"
        r"(?:resolved|cleared(?: up)?|disappeared|vanished|subsided|removed|extubated|withdrawn"
        r"|ruled out|excluded|discontinued|evacuated|drained)(?: completely)?",
        r"(?:is|are) (?:now |completely )?gone",
        r"absent",
        r"none",
        r"nil",
        r"nowhere",
        r"(?:is|are|was|were|:) negative(?! for)",
        r"not applicable",
        r"removal(?! of)",
        r"(?:has|have|had|did|does|do|is|are|was|were) not (?:\w+ly )?(?:recur|develop|occur|form"
        r"|return)\w*",
        r"within (?:normal limits|limits of normal)",
    ),
    # what takes the place of a finding denies it, whatever was said before
    "replaced": (r"rather than", r"instead of", r"in place of", r"as opposed to"),
    # denial of what follows
    "denies": (
        r"(?:(?<=:)|(?<=: )|(?<== ))(?:0|false|normal|clear|unremarkable)(?=\s*(?:$|,))",
        r"no",
        r"not",
        r"neg(?: for)?",
        r"without",
        r"w/o",
        r"free (?:of|from)",
        r"negative for",
        r"negative",
        r"absence of",
        r"clear of",
        r"neither",
        r"nor",
        r"never",
        r"lacks?(?: of)?",
        r"devoid of",
        r"denie[sd]",
        r"rul(?:es|ed|ing) out",
        r"exclud(?:es|ed|ing)",
        r"(?:interval )?resolution of",
        r"(?:interval )?removal of",
        r"unremarkable for",
        r"nothing",
        r"fail(?:s|ed)? to (?:show|reveal|demonstrate)",
        r"disappearance of",
        r"(?:argu\w+|speak\w*|evidence) against",
    ),
}
"""Kind → expressions, in lower case, in the order in which they are tried."""


def _alternatives(kind: str) -> str:
    return "|".join(CUES[kind])


CUE: Final = re.compile(
    r"(?<![\w-])(?:" + "|".join(f"(?P<{kind}>{_alternatives(kind)})" for kind in CUES) + r")(?!\w)"
)
"""Finds the cues of a sentence, each with its kind as the name of its group."""

STOP: Final = re.compile(
    r"\b(?:(?P<cause>due to|secondary to|related to|because of|caused by)|after"
    r"|following(?!\s*(?::|$))"
    r"|since|given|in the setting of|status post|s/p|where|which|adjacent to|superimposed on)\b"
)
"""Words inside a clause at which the reach of an earlier cue ends."""

CONTRAST: Final = re.compile(
    r"\b(?:but|however|positive for|although|though|except(?: for)?|otherwise|(?<!not )yet|whereas"
    r"|while|aside from|apart from|other than|with the exception of|nevertheless|nonetheless"
    r"|despite|in spite of)\b"
)
"""Words at which the reach of every cue ends."""

_WITH: Final = "".join(
    f"(?<!{word} )"
    for word in ("consistent", "compatible", "associated", "compared", "along", "together",
                 "comparison", "keeping", "concordant")
)  # fmt: skip
CLAUSE: Final = re.compile(
    rf"(?P<comma>,)(?:\s*(?:and|with|plus)\b)?|(?P<and>\band\b|\bplus\b)|(?P<with>{_WITH}\bwith\b)"
    r"|(?P<colon>\s?:)|(?P<dash>\s-+>?(?=\s)|\s?=+>?)"
)
"""Borders between the clauses of a sentence."""

OR: Final = re.compile(r"\b(?:n?or)\b")
VERB: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|had|remains?|appears?|persists?|shows?|demonstrates?|reveals?"
    r"|represents?|suggests?|indicates?|may|might|could|can|cannot|should|will|measures?|extends?"
    r"|obscures?|projects?|terminates?|overlies?|contains?|lies|there(?:'s| is| are))\b"
)
"""Finite verbs: a clause that has one of its own is a new statement."""
PLURAL: Final = re.compile(r"\b(?:are|were|have)\b")
SEEN: Final = re.compile(rf"\b(?:is|are|was|were|has been|have been|can be) (?:\w+ly )?{_SEEN}\b")
"""Predicates that belong to a whole list: "no effusion, edema or mass is seen"."""

FRESH: Final = re.compile(
    r"^\W*(?:(?:there|is|are|an?|the|some|very|stable|right|left|sided)\W+)*(?:an?(?= )|small|tiny"
    r"|trace|mild(?:ly)?|minimal(?:ly)?|moderate(?:ly)?|slight(?:ly)?|minor|extensive|marked(?:ly)?"
    r"|severe(?:ly)?|stable|unchanged|persist\w+|chronic|old|healed|healing|known|bilateral"
    r"|improv\w+|resolving|decreas\w+|increas\w+|worsen\w+|status post|scattered|multiple|linear"
    r"|patchy|probable|possible|residual|interval|postoperative|postsurgical|(?:placement|insertion"
    r"|development|exchange) of|large(?=.*\b(?:left|right|bilateral)\b))\b"
)
"""Beginnings by which an item of a list affirms: "no effusion, small nodule"."""
UNDER_WAY: Final = re.compile(
    r"\b(?:stable|unchanged|persist\w*|improv\w+|worsen\w+|increas\w+|decreas\w+|again"
    r"|redemonstrated"
    r"|present|in place)\b"
)
"""Words that say of a finding what became of it, which affirms it."""
NOTHING_NEW: Final = re.compile(
    r"\W*(?:(?:it|they|both|all|which|that|these|this|now|since|has|have|had|is|are|was|were|been"
    r"|no)"
    r"\b\W*)*"
)
"""Words before a cue that name nothing of their own: "effusions, both resolved"."""
ONE_SIDE: Final = re.compile(r"\b(?:left|right|elsewhere)\b")
RELATIVE: Final = re.compile(r"^\W*(?:which|that|when|where|dated|from|on)\b")
