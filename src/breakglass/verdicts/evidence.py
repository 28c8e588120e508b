"""The numbers behind a verdict, each of which a gate owner can recount from the records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from statistics import median

from breakglass.verdicts.bursts import Burst, find_burst
from breakglass.verdicts.complaints import Complaint, Usual, find_complaint, usual_words
from breakglass.verdicts.history import WEEK, Bypass, Gate, monday
from breakglass.verdicts.intervals import Interval, dispersion, ratio_exact, share_read
from breakglass.verdicts.people import TopPerson, find_top_person
from breakglass.verdicts.reason_topics import Speaks, speaks
from breakglass.verdicts.reasons import Cluster, cluster_reasons, summarise
from breakglass.verdicts.routine import Series, series_of
from breakglass.verdicts.windows import RECENT, Span, Windows, weekly, windows

LATE = timedelta(weeks=14)
CHRONIC_RATE = 0.05  # a gate bypassed one time in twenty; docs/explanation/verdicts.md
CHRONIC_EVENTS = 12
SAME_DAYS = timedelta(days=2)  # of an incident: before or after one of its bypasses
FEWEST_GATES = 4  # fewer gates have no median that says what is usual


@dataclass(frozen=True)
class Theme:
    """One reason as it is given now, and its recent rate over its earlier one."""

    cluster: Cluster  # of the recent events only
    before: int
    ratio: Interval


@dataclass(frozen=True)
class DataError:
    """A week with more bypasses than passages: the counting failed, and no rate can mend it."""

    week: date
    bypasses: int
    passages: float


@dataclass(frozen=True)
class Evidence:
    """What was counted for one gate; ``routine`` and the like are set apart and never judged."""

    gate: Gate
    as_of: datetime
    windows: Windows
    set_apart: Mapping[str, int]
    k0: float  # baseline count after an old burst was taken down to the usual
    noise: float
    rate: Interval
    ratio: Interval  # exact, as counted
    careful: Interval  # on effective counts: wider where the gate is noisy
    late: Interval  # the same for the last 14 weeks, where a young rise is not yet diluted
    late_excess: float
    burst: Burst | None
    top: TopPerson | None
    data_errors: tuple[DataError, ...] = ()
    usual: Usual = field(default_factory=Usual)  # of the organisation's gates

    @property
    def recent(self) -> Span:
        """The window that is judged."""
        return self.windows.recent

    @property
    def before(self) -> Span:
        """The window that it is compared with."""
        return self.windows.before

    @property
    def whole(self) -> Span:
        """Both windows as one."""
        events = (*self.before.events, *self.recent.events)
        n = self.before.passages + self.recent.passages
        return Span(self.before.start, self.recent.end, events, n)

    @property
    def is_spoiled(self) -> bool:
        """Whether the passages of the judged window were not counted, so that no rate is known."""
        return self.recent.k > self.recent.passages or _spoiled(self.data_errors, self.recent)

    @property
    def has_past(self) -> bool:
        """Whether enough passed in the time before to compare with."""
        return self.before.passages >= max(1.0, 0.1 * self.recent.passages)

    @property
    def excess(self) -> float:
        """Bypasses beyond what the earlier rate would have brought."""
        if self.before.passages <= 0:
            return 0.0
        return self.recent.k - self.k0 * self.recent.passages / self.before.passages

    @cached_property
    def low_rate(self) -> float:
        """The rate's lower 5 % limit, on one side."""
        return share_read(self.recent.k, self.recent.passages, 0.90).low

    @cached_property
    def was_chronic(self) -> bool:
        """Whether the line of a chronic gate was reached at a look within the last half year."""
        for weeks in range(4, 27, 4):
            end = self.recent.end - weeks * WEEK
            start = max(end - RECENT, self.gate.first_day or end)
            k = sum(1 for event in counted(self.gate) if start <= event.time.date() < end)
            n = self.gate.passages_between(start, end)
            if k >= CHRONIC_EVENTS and share_read(k, n, 0.90).low >= CHRONIC_RATE:
                return True
        return False

    @cached_property
    def clusters(self) -> tuple[Cluster, ...]:
        """Reasons of the recent window."""
        return cluster_reasons(self.recent.events)

    @cached_property
    def people(self) -> Counter[str]:
        """Bypasses per person in the recent window."""
        return Counter(event.person for event in self.recent.events)

    @property
    def effective_people(self) -> float:
        """Inverse Simpson number without its bias for small counts; for display only."""
        k = self.recent.k
        pairs = sum(n * (n - 1) for n in self.people.values())
        return k * (k - 1) / pairs if pairs else float(len(self.people))

    @cached_property
    def families(self) -> Counter[str]:
        """Bypasses per incident family in the recent window, named ones only."""
        return Counter(event.family for event in self.recent.events if event.family)

    @cached_property
    def themes(self) -> tuple[Theme, ...]:
        """Reasons of both windows clustered together, so that a new one can be told from an old."""
        found = []
        recent = {event.id: event for event in self.recent.events}
        for cluster in cluster_reasons((*self.before.events, *self.recent.events)):
            now = [recent[i] for i in sorted(cluster.ids & recent.keys())]
            if now:
                before = cluster.events - len(now)
                ratio = ratio_exact(len(now), self.recent.passages, before, self.before.passages)
                found.append(Theme(summarise(now), before, ratio))
        return tuple(sorted(found, key=lambda t: (-t.cluster.weeks, -t.cluster.events)))

    @cached_property
    def complaint(self) -> Complaint | None:
        """The one reason in words of the gate's own that holds most of both windows."""
        return find_complaint(self.recent.events, self.before.events, self.usual)

    @cached_property
    def short_incidents(self) -> dict[str, int]:
        """Bypasses per incident id with two or more of them within ten days.

        An id that is named for months is a project, not an incident (DEVIANCE.md 2: one migration's
        bug is named by 45 changes).
        """
        return short_incidents(self.recent.events)

    @cached_property
    def top_on_duty(self) -> float:
        """Share of the top person's bypasses in short incidents that others worked on as well.

        Half of an incident's bypasses may name none: what names none on its days is of it, too.
        """
        if self.top is None:
            return 0.0
        person = self.top.person
        shared = {
            event.incident
            for event in self.recent.events
            if event.incident in self.short_incidents and event.person != person
        }
        days = [event.time for event in self.recent.events if event.incident in shared]
        theirs = [event for event in self.recent.events if event.person == person]
        on_duty = sum(
            any(abs(event.time - day) <= SAME_DAYS for day in days)
            if not event.incident
            else event.incident in shared
            for event in theirs
        )
        return on_duty / len(theirs)

    @cached_property
    def recurring_families(self) -> dict[str, int]:
        """Bypasses per parent incident that came back: three incidents of its own over four weeks.

        Real troubles carry many ids (DEVIANCE.md 2, fact 6); the parent says that they are one.
        """
        children: dict[str, list[Bypass]] = defaultdict(list)
        for event in self.recent.events:
            if event.parent_incident and event.parent_incident != event.incident:
                children[event.parent_incident].append(event)
        return {
            parent: len(events)
            for parent, events in children.items()
            if len({event.incident for event in events}) >= 3
            and events[-1].time - events[0].time >= timedelta(weeks=4)
        }

    @property
    def in_short_incidents(self) -> float:
        """Share of the events that name an incident which sit in short incidents of two or more."""
        return _share_in(self.short_incidents, self.recent.events)

    @property
    def in_short_incidents_before(self) -> float:
        """The same share in the baseline."""
        return _share_in(short_incidents(self.before.events), self.before.events)

    def share_speaking(self, matter: str, events: Sequence[Bypass] | None = None) -> float:
        """Return the share of reasons that speak of ``matter``: gate, production or breakage."""
        chosen = self.recent.events if events is None else events
        told = [event for event in chosen if event.reason.strip() or event.reason_code]
        return sum(getattr(spoken(e), matter) for e in told) / len(told) if told else 0.0


def short_incidents(events: Sequence[Bypass]) -> dict[str, int]:
    """Return the bypasses of every incident that has two or more, all within ten days."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for event in events:
        if event.incident:
            times[event.incident].append(event.time)
    return {
        incident: len(at)
        for incident, at in times.items()
        if len(at) >= 2 and at[-1] - at[0] <= timedelta(days=10)
    }


def _share_in(incidents: Mapping[str, int], events: Sequence[Bypass]) -> float:
    named = sum(1 for event in events if event.incident)
    return sum(incidents.values()) / named if named else 0.0


def spoken(event: Bypass) -> Speaks:
    """Return what an event's reason speaks of, its code read as words too."""
    code = event.reason_code.replace("_", " ").replace("-", " ")
    return speaks(f"{event.reason} {code}" if code else event.reason)


def counted(gate: Gate) -> list[Bypass]:
    """Return the bypasses that are judged, oldest first."""
    return [event for event in gate.events if series_of(event) is Series.COUNTED]


def gather(gate: Gate, as_of: datetime, usual: Usual | None = None) -> Evidence:
    """Count everything that the verdict on ``gate`` rests on; deterministic.

    ``usual`` is what is usual at the organisation's gates, from ``look_around``.
    """
    events = counted(gate)
    both = windows(gate, events, as_of)
    errors = data_errors(gate, both.recent)
    if both.before.k > both.before.passages or _spoiled(
        data_errors(gate, both.before), both.before
    ):
        # Earlier bypasses without their passages are no time to compare with.
        day = both.recent.start
        both = replace(both, before=Span(day, day, (), 0.0), cut="has no counted earlier passages")
    recent, before = both.recent, both.before
    apart = Counter(
        series_of(e).value for e in gate.events if recent.start <= e.time.date() < recent.end
    )
    apart.pop(Series.COUNTED.value, None)
    k0, noise = _baseline(gate, before)
    middle = max(recent.start, recent.end - LATE)
    late_k = sum(1 for event in recent.events if event.time.date() >= middle)
    late_n = gate.passages_between(middle, recent.end)
    careful = ratio_exact(recent.k / noise, recent.passages, k0 / noise, before.passages)
    return Evidence(
        gate=gate,
        as_of=as_of,
        windows=both,
        set_apart=dict(sorted(apart.items())),
        k0=k0,
        noise=noise,
        rate=share_read(recent.k, recent.passages),
        ratio=ratio_exact(recent.k, recent.passages, k0, before.passages),
        careful=careful,
        late=ratio_exact(late_k / noise, late_n, k0 / noise, before.passages),
        late_excess=late_k - (k0 * late_n / before.passages if before.passages else late_k),
        burst=find_burst(gate, recent, before, k0, noise),
        top=find_top_person(gate, both, k0),
        data_errors=errors,
        usual=usual or Usual(),
    )


def look_around(gates: Sequence[Gate], as_of: datetime) -> Usual:
    """Return the median rate of an organisation's gates in the time before, and their words.

    The time before, because what many gates suffer from today is not usual. The rate to two figures
    and shares in whole per cent, so that one bypass more does not make every verdict stale.
    """
    rates, said = [], []
    for gate in gates:
        both = windows(gate, counted(gate), as_of)
        k, n = both.before.k, both.before.passages
        said.append((*both.before.events, *both.recent.events))
        if n >= max(1, k):
            rates.append(k / n)
    if len(rates) < FEWEST_GATES:
        return Usual()
    return Usual(float(f"{median(rates):.2g}"), usual_words(said))


def data_errors(gate: Gate, window: Span) -> tuple[DataError, ...]:
    """Return the weeks of ``window`` with more bypasses than passages, oldest first."""
    weeks = Counter(monday(event.time.date()) for event in window.events)
    found = []
    for week, k in sorted(weeks.items()):
        n = gate.passages_between(week, week + WEEK)
        if k > n:
            found.append(DataError(week, k, n))
    return tuple(found)


def _spoiled(errors: Sequence[DataError], window: Span) -> bool:
    """Return whether so many bypasses have no passage that the window's rate is not known.

    A change that lands on a Sunday night and is counted on Monday is no fault: up to one bypass in
    ten may be a week off.
    """
    missing = sum(error.bypasses - error.passages for error in errors)
    return missing >= 1 and missing > 0.1 * window.k


def _baseline(gate: Gate, before: Span) -> tuple[float, float]:
    """Return the usual count of the baseline, and how noisy it is week by week.

    An old incident must not hide a new rise: thirteen-week blocks are brought down to the rate of
    the middle block where they stand out, and the noise is measured on what is left.
    """
    counts, exposures = weekly(before, gate)
    if before.k < 4 or len(counts) < 13:
        return float(before.k), 1.0
    blocks = []
    for end in range(len(counts), 0, -13):
        k, n = sum(counts[max(0, end - 13) : end]), sum(exposures[max(0, end - 13) : end])
        if n > 0:
            blocks.append((k, n))
    if not blocks:
        return float(before.k), 1.0  # bypasses without a single counted passage
    usual = median(k / n for k, n in blocks)
    capped = 0.0
    for k, n in blocks:
        most = usual * n + 2.5 * (usual * n + 1) ** 0.5
        capped += usual * n if k > most else k
    weeks = sorted(zip(counts, exposures, strict=True), key=lambda pair: pair[0])
    trimmed = weeks[: max(8, len(weeks) - len(weeks) // 26)]
    # One old burst is not noise, but a noisy gate's fullest weeks are: the truth lies between.
    calm = dispersion([k for k, _ in trimmed], [n for _, n in trimmed])
    whole = min(4.0, dispersion(counts, exposures))
    return capped, (calm * whole) ** 0.5
