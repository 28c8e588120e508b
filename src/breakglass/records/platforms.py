"""What each platform can and cannot do: one table, which the policy and the minters both read.

A glass names a platform's fields; its card carries the dimensions that they fill, and no life that
the platform cannot honour. What a minter says of itself in ``docs/reference/minters.md`` is this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

LONGEST = timedelta(hours=12)  # a card can say no more; also the longest STS session
SOURCE = "source"
"""The scope dimension of networks, on any platform: where what is minted works from."""
MAY = "may"
"""The scope dimension of what a platform refuses unless maintainers signed it: on a card's scope,
since that is what the minter sees and the person who asks signs too."""


@dataclass(frozen=True)
class PlatformLimits:
    """One platform.

    Attributes:
        platform: its name in policies, cards and records.
        dimensions: the fields of a glass's mint, each with the scope dimension that it fills.
        allows: fields that are true or left out, each with the word that it adds to ``may``.
        optional: the fields that may be left out.
        shortest, longest: the lives that the target can honour.
        tells_use: it can tell when an account was used last, so that ``idle`` ends a grant.
        binds_source: what is minted works from the scope's networks alone.
        connector: the client's command that uses what is minted; empty where there is none.
        expiry: how the target itself ends the credential, should the minter be gone; begins with
            ``none`` where it does not.
        cutting: how live sessions are cut.
        residual_tail: the longest that access may outlive the end of a grant while minter and
            target run; ``None`` where no minter is built yet.
        unrecorded: what use without a record would be: ``refused by the target``, ``impossible
            without the minter`` or ``only detected, within N minutes``.
    """

    platform: str
    dimensions: Mapping[str, str]
    allows: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    shortest: timedelta = timedelta(seconds=1)
    longest: timedelta = LONGEST
    tells_use: bool = False
    binds_source: bool = False
    connector: str = ""
    expiry: str = ""
    cutting: str = ""
    residual_tail: timedelta | None = None
    unrecorded: str = ""

    @property
    def ends_by_itself(self) -> bool:
        """Say whether the target refuses new logins behind the end without anybody's help."""
        return not self.expiry.startswith("none")


_ALL = (
    PlatformLimits(
        "postgres",
        {"database": "databases", "template": "templates"},
        {"may_create": "create"},
        tells_use=True,
        connector="psql",
        expiry="VALID UNTIL: the target refuses new logins by itself; live sessions go on",
        cutting="pg_terminate_backend on every session of the role",
        residual_tail=timedelta(seconds=5),
        unrecorded="impossible without the minter",
    ),
    # TokenRequest refuses less than 600 s (Kubernetes API, TokenRequestSpec.expirationSeconds).
    PlatformLimits(
        "kubernetes",
        {"namespace": "namespaces", "role": "roles"},
        shortest=timedelta(seconds=600),
    ),
    # The shortest session STS issues is 900 s, the longest 12 h (AssumeRole, DurationSeconds).
    PlatformLimits(
        "aws",
        {"role": "roles", "account": "accounts"},
        optional=frozenset({"account"}),
        shortest=timedelta(seconds=900),
    ),
    # A certificate counts whole seconds, and a login at a busy host takes one or two.
    PlatformLimits(
        "ssh",
        {"host": "hosts", "account": "accounts"},
        {"may_forward": "forward"},
        shortest=timedelta(seconds=5),
        tells_use=True,
        binds_source=True,
        connector="ssh",
        expiry="the certificate's end: sshd refuses new logins; the host's daemon ends sessions",
        cutting="KRL and the list of the ended, then cgroup.kill of all that the grant runs",
        residual_tail=timedelta(seconds=5),
        unrecorded="refused by the target",
    ),
    PlatformLimits("azure", {"scope": "scopes", "role": "roles"}),
    PlatformLimits("gcp", {"project": "projects", "role": "roles"}),
    # What a program of the organisation's own can do it says itself (Description). Without roles it
    # runs acts alone.
    PlatformLimits(
        "command",
        {"role": "roles"},
        optional=frozenset({"role"}),
        connector="run",
        expiry="as the program says",
        cutting="as the program says",
        residual_tail=timedelta(seconds=60),
        unrecorded="as the program says",
    ),
)
PLATFORMS: Mapping[str, PlatformLimits] = {each.platform: each for each in _ALL}
