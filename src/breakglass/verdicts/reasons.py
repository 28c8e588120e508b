"""Stated reasons brought together: clusters of free text without a model to download.

TF-IDF over characters (3 to 5 within words, weight 0.7) beside words (one and two), digits
masked, average linkage on the cosine, cut at a distance of 0.86 (DEVIANCE.md 3.6). A coded reason,
where one was given, is a cluster by itself. Support is counted in weeks, people and incidents.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from breakglass.verdicts.history import Bypass

CUT = 0.86
MOST_TEXTS = 220  # distinct sentences compared; the latest ones, so an old habit ages out
_CHARACTERS = 0.7
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "in",
        "into",
        "is",
        "it",
        "its",
        "no",
        "not",
        "of",
        "off",
        "on",
        "or",
        "our",
        "so",
        "that",
        "the",
        "this",
        "to",
        "was",
        "we",
        "were",
        "will",
        "with",
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "fuer",
        "von",
        "am",
        "an",
        "im",
        "zu",
    ]
)


@dataclass(frozen=True)
class Cluster:
    """Reasons that say the same thing: how often, in how many weeks, by how many, how it sounds."""

    label: str
    events: int
    weeks: int
    people: int
    incidents: int
    quotes: tuple[str, ...]
    ids: frozenset[str]


def cluster_reasons(events: Sequence[Bypass]) -> tuple[Cluster, ...]:
    """Return the clusters among ``events``, largest support in weeks first.

    Events without text and without a code belong to none. Deterministic: ties are broken by text.
    """
    return _clustered(tuple(events))


@lru_cache(maxsize=512)  # a burst, the sentence and the page ask for the same window's
def _clustered(events: tuple[Bypass, ...]) -> tuple[Cluster, ...]:
    groups: list[list[Bypass]] = []
    coded: dict[str, list[Bypass]] = defaultdict(list)
    by_text: dict[str, list[Bypass]] = defaultdict(list)
    for event in events:
        if event.reason_code and event.reason_code != "other":
            coded[event.reason_code].append(event)
        elif event.reason.strip():
            by_text[_masked(event.reason)].append(event)
    # Python keeps insertion order: events come oldest first, so the last keys are the latest.
    texts = list(by_text)[-MOST_TEXTS:]
    for members in _linked(texts):
        groups.append([event for text in members for event in by_text[text]])
    clusters = [summarise(group, "") for group in groups]
    clusters += [summarise(group, code) for code, group in coded.items()]
    return tuple(sorted(clusters, key=lambda c: (-c.weeks, -c.events, c.label)))


@lru_cache(maxsize=65_536)
def _masked(reason: str) -> str:
    text = re.sub(r"<[^>]{1,12}>|https?://\S+", " ", reason.lower())
    text = re.sub(r"\b[0-9a-f]{7,40}\b|\d+", "0", text)
    return " ".join(text.split())[:180]


@lru_cache(maxsize=65_536)
def _terms(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the character grams and the word grams of a masked text."""
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text)
    padded = [f" {word} " for word in words]
    characters = tuple(
        word[i : i + size]
        for word in padded
        for size in (3, 4, 5)
        for i in range(len(word) - size + 1)
    )
    kept = [word for word in words if word not in _STOP]
    pairs = [f"{a} {b}" for a, b in pairwise(kept)]
    return characters, (*kept, *pairs)


def words_of(event: Bypass) -> frozenset[str]:
    """Return the words of a reason, and of its code; numbers and small words are none.

    The code ``other`` says that none fits, and is no word.
    """
    code = "" if event.reason_code == "other" else event.reason_code
    return _words(f"{event.reason} {code.replace('_', ' ').replace('-', ' ')}")


@lru_cache(maxsize=65_536)
def _words(reason: str) -> frozenset[str]:
    return frozenset(w for w in _terms(_masked(reason))[1] if w != "0" and " " not in w)


def _vectors(documents: list[tuple[str, ...]]) -> list[dict[str, float]]:
    counts = [Counter(document) for document in documents]
    seen = Counter(term for count in counts for term in count)
    n = len(documents)
    idf = {term: math.log((1 + n) / (1 + df)) + 1 for term, df in seen.items()}
    vectors = []
    for count in counts:
        weights = {term: (1 + math.log(k)) * idf[term] for term, k in count.items()}
        length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
        vectors.append({term: w / length for term, w in weights.items()})
    return vectors


def _similarities(texts: list[str]) -> list[list[float]]:
    """Return the weighted cosine of every two texts, by way of an index from term to texts."""
    n = len(texts)
    table = [[0.0] * n for _ in range(n)]
    split = [_terms(text) for text in texts]
    for weight, side in ((_CHARACTERS, 0), (1 - _CHARACTERS, 1)):
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, vector in enumerate(_vectors([terms[side] for terms in split])):
            row = table[i]
            for term, w in vector.items():
                found = postings[term]
                scaled = w * weight
                for j, other in found:
                    row[j] += scaled * other
                found.append((i, w))
    for i in range(n):
        for j in range(i):
            table[j][i] = table[i][j]
    return table


def _linked(texts: list[str]) -> list[list[str]]:
    """Average linkage: merge the two nearest groups until none are nearer than the cut.

    The nearest neighbour of every group is remembered, so a merge costs one pass over the groups
    (Lance and Williams 1967 for the update).
    """
    n = len(texts)
    near = _similarities(texts)
    members: list[list[int]] = [[i] for i in range(n)]
    alive = set(range(n))
    floor = 1 - CUT

    def best_of(i: int) -> tuple[float, int]:
        row = near[i]
        return max(((row[j], -j) for j in alive if j != i), default=(0.0, 0))

    best = {i: best_of(i) for i in alive}
    while len(alive) > 1:
        value, minus_i = max((best[i][0], -i) for i in alive)
        if value < floor:
            break
        i = -minus_i
        j = -best[i][1]
        i, j = min(i, j), max(i, j)
        a, b = len(members[i]), len(members[j])
        alive.discard(j)
        del best[j]
        row_i, row_j = near[i], near[j]
        for k in alive:
            if k != i:
                row_i[k] = near[k][i] = (a * row_i[k] + b * row_j[k]) / (a + b)
        members[i] += members[j]
        best[i] = best_of(i)
        for k in alive:
            if k == i:
                continue
            if -best[k][1] in (i, j):
                best[k] = best_of(k)
            elif (near[k][i], -i) > best[k]:
                best[k] = (near[k][i], -i)
    return [[texts[i] for i in sorted(members[group])] for group in sorted(alive)]


def summarise(events: Sequence[Bypass], code: str = "") -> Cluster:
    """Return ``events`` as one cluster, called ``code`` where one is given."""
    events = sorted(events, key=lambda event: (event.time, event.id))
    texts = Counter(event.reason.strip() for event in events if event.reason.strip())
    words: Counter[str] = Counter()
    for event in events:
        words.update(_words(event.reason))
    common = sorted(words.items(), key=lambda item: (-item[1], -len(item[0]), item[0]))
    least = max(1, len(events) // 3)
    label = " ".join([w for w, count in common if count >= least and len(w) > 1][:4])
    if len(texts) == 1:
        label = short(next(iter(texts)))
    return Cluster(
        label=code or label or "no words in common",
        events=len(events),
        weeks=len({event.time.isocalendar()[:2] for event in events}),
        people=len({event.person for event in events}),
        incidents=len({event.family for event in events if event.family}),
        quotes=tuple(text for text, _ in sorted(texts.items(), key=lambda t: (-t[1], t[0]))[:3]),
        ids=frozenset(event.id for event in events),
    )


def short(text: str, most: int = 48) -> str:
    """Return ``text`` cut at a word, so that a label stays on its line."""
    if len(text) <= most:
        return text
    return text[:most].rsplit(" ", 1)[0].rstrip(" ,.;:") + " …"
