"""Words that somebody on the way wrote over: runs of one letter, and words that are nearly the one that asks for TLS."""
from __future__ import annotations

import re

_RUN_OF_X = re.compile(r"X{3,}[A-Z]?\Z", re.IGNORECASE)  # Cisco's inspection counts the words that it masks in the last letter: XXXA, XXXXXXXB


def edit_distance(one: str, other: str) -> int:
    """Insertions, deletions and replacements that lead from one word to the other; words are short."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def looks_masked(word: str, offer: str = "STARTTLS") -> bool:
    """Whether an unknown word, upper case, may be the offer written over (PS301): as long and one letter, of which the last may differ, or nearly the offer."""
    n = len(offer)
    if len(word) == n and word[:n - 1] == word[0] * (n - 1):
        return True
    close = 2 if n >= 8 else 1  # of four letters, two may make any other word
    return abs(len(word) - n) <= close and word != offer and edit_distance(word, offer) <= close


def is_run_of_x(word: str) -> bool:
    """Whether a word is what firewalls put in the place of any keyword that they do not know (PS302)."""
    return _RUN_OF_X.match(word) is not None
