"""The bundle that ``breakglass init`` writes: small, working, and explained line by line."""

from __future__ import annotations

from breakglass.policy.bundle import CASES_FILE, MAIN_FILE
from breakglass.policy.editor_schema import EDITOR_LINE
from breakglass.records.signing.person_key import without_comment

_TEXT = (
    f"{EDITOR_LINE}\n"
    + """\
# The policy of {organisation}. Check it after every change:  breakglass policy check
# Two maintainers sign it (breakglass policy sign), then: breakglass policy activate
version: 1                        # one more at each activation
organisation: {organisation}

people:                           # one name per human being; every key of theirs stands here
  {person}:
    name: {person}
    keys: ["{key}"]
  {second}:                       # a generated key beside yours: only for trying out.
    name: {second}                # give this place to a second human being before it matters
    keys: ["{second_key}"]

groups:
  oncall: {{members: [{person}]}}

reasons:                          # what a responder picks from; a text is asked for as well
  gate-slow: the gate takes longer than the incident allows
  gate-down: the gate could not be evaluated
  production: production needs hands that no normal path gives
  other: none of these

gates:
  hello-gate:
    protects: nothing yet; it shows how a gate opens
    owner: {second}
    fail: closed                  # when its check cannot be evaluated; 'open' needs a reason

glasses:
  hello:
    does: open hello-gate and nothing else
    blast_radius: contained       # or broad: alone; severe: two people; catastrophic: sealed
    opens_gates: [hello-gate]
    # mint: {{postgres: {{minter: orders-db, database: orders, template: breakglass_orders}}}}
    for: 30m                      # the longest life of a grant
    who: [group:oncall]
    # when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    #   No 'when' here: a key without a security token is one factor, and 'mfa_age' asks for two.
    #   Make a key that is two factors with:  ssh-keygen -t ed25519-sk
    review: {{due: 3 business days, by: [{second}]}}

channels:                         # two independent ones at least; the monitor has each of them
  file: {{log_file: alarms.log}}    # in the monitor's data folder
  file-2: {{log_file: copy.log}}    # for trying out; before it matters, what wakes people:
  # hook: {{webhook: "secret:hook"}}    its address in the file secrets/hook of the monitor's folder

alerts:
  glass: [file, file-2]           # alerted each time a glass is broken

kill: [{person}, {second}]        # who may stop a grant, a person or a glass
maintainers: {{need: 2, of: [{person}, {second}]}}
reviews: {{default: {{SEV1: 3 business days, other: 5 business days}}}}
"""
)


_CASES = """\
# What the policy must answer: maintainers sign this file with the rules. A policy that answers one
# of these otherwise is neither signed nor activated. Run them: breakglass policy test
cases:
  oncall-opens-hello: {{who: {person}, glass: hello, wanted: allowed}}
  half-an-hour-at-most: {{who: {person}, glass: hello, for: 31m, wanted: refused too_long}}
  a-glass-that-is-stopped:
    {{who: {person}, glass: hello, suspended: ["glass:hello"], wanted: refused suspended}}
"""


def starter_bundle(
    *, organisation: str, person: str, key: str, second: str, second_key: str
) -> dict[str, bytes]:
    """Return the starter bundle, file name to content; it compiles without a lint error.

    Args:
        organisation: a name such as ``shop.example``.
        person: the handle of whoever runs ``breakglass init``.
        key: their public key, one line.
        second: the handle of the second maintainer.
        second_key: the public key that was generated for them.
    """
    text = _TEXT.format(
        organisation=organisation,
        person=person,
        key=without_comment(key),
        second=second,
        second_key=without_comment(second_key),
    )
    return {MAIN_FILE: text.encode(), CASES_FILE: _CASES.format(person=person).encode()}
