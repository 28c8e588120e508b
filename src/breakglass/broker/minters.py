"""The minters that this broker may ask, each over its own connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.http.addresses import read_address, read_places
from breakglass.http.client import Peer
from breakglass.http.request_signer import RequestSigner
from breakglass.process.settings import neighbour_at
from breakglass.records.signing.signature import Signature
from breakglass.strict_json import write

_WITHIN = timedelta(seconds=20)


class Minters:
    """Calls minters by name; what they answer is handed on, never believed.

    Args:
        folder: the broker's, to which the paths are relative.
        addresses: minter to ``address`` file or address.
        mint_within: how long a mint may take.
        signer: makes what signs requests to a role of the trust file: ``minter:NAME``.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Mapping[str, str],
        mint_within: timedelta,
        signer: Callable[[str], RequestSigner],
    ) -> None:
        self._within = mint_within
        self._minters = {
            name: Peer(
                neighbour_at(folder, where), name=f"minter {name}", signer=signer(f"minter:{name}")
            )
            for name, where in addresses.items()
        }

    def address(self, minter: str) -> str:
        """Return where a minter is, for those who may have to ask it without us; empty if unknown.

        Raises:
            UnavailableError: we do not know the minter.
        """
        try:
            places = read_places(self._of(minter).where)
            return ", ".join(read_address(each) for each in places)
        except OSError:
            return ""

    def addresses(self) -> dict[str, str]:
        """Return where each minter is; empty where that is not known yet."""
        return {name: self.address(name) for name in sorted(self._minters)}

    def check(self, minter: str) -> None:
        """Be sure that we know where a minter is, before anything is recorded.

        Raises:
            UnavailableError: we do not.
        """
        self._of(minter)

    def mint(self, minter: str, token: str, asked_ms_ago: int) -> dict[str, Any]:
        """Show a token; again with the same token is the same credential.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        value = {"token": token, "asked_ms_ago": asked_ms_ago}
        return self._of(minter).post_json("/mint", value, within=self._within)

    def end(self, minter: str, grant: str, statement: Signature) -> dict[str, Any]:
        """Hand on a person's signed word that ends a grant.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        value = {"grant": grant, "statement": write(statement)}
        return self._of(minter).post_json("/end", value, within=_WITHIN)

    def forgo(self, minter: str, grant: str, intent: str) -> bool:
        """Have a minter promise never to mint a grant; returns whether it was minted.

        Signed by this broker for that minter; ``intent`` is the SHA-256 of the intent's text.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        value = {"grant": grant, "intent": intent}
        answer = self._of(minter).post_json("/forgo", value, within=_WITHIN, signed=True)
        minted = answer.get("minted")
        if not isinstance(minted, bool):
            raise UnavailableError(f"minter {minter!r} does not say whether it minted")
        return minted

    def credential(self, minter: str, grant: str) -> dict[str, Any]:
        """Fetch a sealed credential again.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        return self._of(minter).read(f"/grants/{grant}/credential", within=_WITHIN).json()

    def close(self) -> None:
        """Let go of connections."""
        for each in self._minters.values():
            each.close()

    def _of(self, minter: str) -> Peer:
        found = self._minters.get(minter)
        if found is None:
            raise UnavailableError(
                f"this broker does not know where minter {minter!r} is",
                name=ErrorName.UNKNOWN_MINTER,
                hint="its address belongs into [minters] of the broker's settings",
            )
        return found
