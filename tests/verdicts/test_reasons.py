"""Clusters of stated reasons: what belongs together, what it is called, whom it supports."""

from __future__ import annotations

import random
from datetime import timedelta

from breakglass.verdicts.reasons import MOST_TEXTS, cluster_reasons, words_of

from .kit import bypass
from .vocabularies import CLUSTERS, DEPLOYS, coined


def test_paraphrases_meet_and_strangers_do_not() -> None:
    told = [
        "integration suite flaky, failed on cart",
        "flaky integration suite, failed twice on cart",
        "the integration suite is flaky again",
        "approver asleep, no sign-off for billing",
        "approver asleep again, nobody signs off billing",
        "rotate certificate of edge",
    ]
    events = [bypass(90 + i, i, reason=text) for i, text in enumerate(told)]
    clusters = cluster_reasons(events)
    assert [c.events for c in clusters] == [3, 2, 1]
    assert "flaky" in clusters[0].label
    assert clusters[0].weeks == 3
    assert clusters[0].people == 3
    assert all(quote in told for quote in clusters[0].quotes)


def test_a_vocabulary_nobody_knows_clusters_as_well_as_ours() -> None:
    for trade in (DEPLOYS, CLUSTERS, coined(11)):
        rng = random.Random(trade.name)
        theme = trade.gate[0]
        events = [
            bypass(80 + i * 0.5, i, reason=rng.choice(theme).format(rng.choice(trade.fillers)))
            for i in range(24)
        ]
        other = [
            bypass(80 + i * 0.5, 100 + i, reason=trade.other[i].format(trade.fillers[0]))
            for i in range(8)
        ]
        largest = max(cluster_reasons([*events, *other]), key=lambda c: c.events)
        theirs = sum(1 for event in events if event.id in largest.ids)
        assert theirs >= 0.6 * largest.events, trade.name
        assert largest.events >= 8, trade.name


def test_a_code_given_is_a_cluster_by_itself_and_other_is_not() -> None:
    events = [
        bypass(1, 1, reason_code="flaky-check", reason="red again"),
        bypass(2, 2, reason_code="flaky-check", reason="no idea"),
        bypass(3, 3, reason_code="other", reason="something else"),
    ]
    clusters = cluster_reasons(events)
    assert [(c.label, c.events) for c in clusters] == [
        ("flaky-check", 2),
        ("something else", 1),
    ]


def test_the_words_of_a_reason_are_those_of_its_code_too_but_for_other() -> None:
    assert words_of(bypass(1, 1, reason_code="gate-slow_today")) == {"gate", "slow", "today"}
    assert words_of(bypass(1, 1, reason_code="other", reason="red again")) == {"red", "again"}


def test_digits_hashes_and_addresses_do_not_keep_sentences_apart() -> None:
    events = [
        bypass(i, i, reason=f"deploy {i} of build {'abcdef0123'}{i} see https://x.example/{i}")
        for i in range(5)
    ]
    (one,) = cluster_reasons(events)
    assert one.events == 5


def test_silence_is_no_cluster_and_order_does_not_matter() -> None:
    assert cluster_reasons([bypass(1, 1, reason="  ")]) == ()
    events = [bypass(i, i, reason=DEPLOYS.other[i % 12]) for i in range(30)]
    assert cluster_reasons(events) == cluster_reasons(list(events))


def test_many_texts_stay_fast_by_leaving_the_oldest_out() -> None:
    events = [bypass(i / 40, i, reason=" ".join(_words(i))) for i in range(600)]
    clusters = cluster_reasons(events)
    assert 0 < sum(c.events for c in clusters) <= MOST_TEXTS
    newest = max(events, key=lambda e: e.time)
    assert any(newest.id in c.ids for c in clusters)
    assert events[-1].time - events[0].time > timedelta(weeks=10)


def _words(i: int) -> list[str]:
    rng = random.Random(i)
    return ["".join(rng.choice("abcdefghij") for _ in range(6)) for _ in range(5)]
