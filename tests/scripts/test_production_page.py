"""docs/how-to/production.md, typed from its first line to its last, to a repaired row.

Six hosts, three people with homes and uids of their own, a process a user, a real PostgreSQL.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from breakglass.demo.server_place import ServerPlace
from tests.kit.company import ADDRESSES, PEOPLE, Company, Said, company, database, why_no_company
from tests.kit.plain_english import check_wording
from tests.kit.postgres import PASSWORD, SUPERUSER
from tests.kit.typed_page import Act, acts_of

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/production.md"
UNAVAILABLE = 5  # the page: something is not up yet, type it again
_AGAIN_FOR_S = 60
_RECEIVER = """
import http.server
class Takes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9009), Takes).serve_forever()
"""


class Typing:
    """Types the page; what a command printed stands in for the page's examples of it."""

    def __init__(self, made: Company) -> None:
        self.made = made
        self.said: list[tuple[Act, Said]] = []
        self.seen: dict[str, str] = {}

    def does(self, act: Act) -> None:
        """Type a line, or write a file."""
        if act.file:
            self.made.writes(act.who, act.file, self._keyed(act.text), more=act.more)
            return
        line = self._filled(act.text)
        until = time.monotonic() + _AGAIN_FOR_S
        while (said := self.made.types(act.who, line)).code == UNAVAILABLE:
            if time.monotonic() > until:
                break
            time.sleep(0.5)
        assert said.code == 0, f"{act.who} types {line}: {said.code}\n{said.out}\n{said.err}"
        check_wording(f"{said.out}\n{said.err}")
        self.said.append((act, said))
        self._notice(said.out)

    def _notice(self, out: str) -> None:
        patterns = {
            "invite": r"^breakglass join person ('\S+' --fingerprint \S+)$",
            "minter": r"^trust line +(submitter minter:.*)$",
            "gate": r"^trust line +(submitter gate:.*)$",
            "ledger": r"^ledger +(https://\S+)$",
            "log": r"^log +(shop\.example/ledger\+\S+)$",
            "grant": r"^grant +(g-\S+)$",
        }
        for name, pattern in patterns.items():
            if found := re.search(pattern, out, re.MULTILINE):
                self.seen[name] = found[1]

    def _filled(self, line: str) -> str:
        line = line.replace("git@git.shop.example:policy.git", str(self.made.git))
        for example, name in (
            (r"'https://10.77.0.1:8700#5f0c…' --fingerprint 4ab1-c2d3-…", "invite"),
            ("https://10.77.0.1:8701#5f0c…", "ledger"),
            ("shop.example/ledger+4ab1c2d3+AVkd…", "log"),
            ("submitter minter:orders-db …", "minter"),
            ("submitter gate:deploy-freeze …", "gate"),
            ("g-7kq3m2x4p5ab", "grant"),
        ):
            if example in line:
                line = line.replace(example, self.seen[name])
        assert "…" not in line, line
        return line

    def _keyed(self, text: str) -> str:
        for who in PEOPLE:
            public = (self.made.home(who) / ".ssh" / "id_ed25519.pub").read_text().split()
            key = " ".join(public[:2])
            text = re.sub(rf'^(  {who}: .*keys: \[").*?("\])', rf"\g<1>{key}\2", text, flags=re.M)
        return text


@pytest.fixture(scope="module")
def typed() -> Iterator[tuple[Typing, ServerPlace]]:
    """Type the whole page; says how long it took."""
    if why := why_no_company():
        pytest.skip(f"no company on this machine: {why}")
    with company() as made, database(made) as place:
        made.starts("one", "python3", "-c", _RECEIVER)
        typing, began = Typing(made), time.monotonic()
        for act in acts_of(PAGE):
            typing.does(act)
        minutes = (time.monotonic() - began) / 60
        print(f"\nproduction.md: {len(typing.said)} lines typed in {minutes:.1f} minutes")
        yield typing, place


def test_the_row_is_repaired_and_no_role_of_a_grant_is_left(typed) -> None:
    typing, place = typed
    where = psycopg.conninfo.make_conninfo(
        host=str(place.folder), user=SUPERUSER, password=PASSWORD, dbname="orders"
    )
    with psycopg.connect(where) as session:
        assert session.execute("select state from orders").fetchall() == [("repaired",)]
        left = session.execute("select rolname from pg_roles where rolname like 'bg\\_%'")
        assert left.fetchall() == []
    (psql,) = [said for act, said in typing.said if act.text.startswith("breakglass psql")]
    assert "UPDATE 1" in psql.out


def test_every_process_is_a_user_of_its_own_and_people_cannot_read_their_keys(typed) -> None:
    typing, _ = typed
    for host, processes in (("one", 6), ("two", 2)):
        keys = sorted((typing.made.top / host / "srv" / "breakglass").glob("*/key"))
        owners = {path.stat().st_uid for path in keys}
        assert len(keys) == len(owners) == processes
        assert 0 not in owners
        assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
    for who in ("one", *PEOPLE):
        said = typing.made.types(who, "id -u")
        assert (said.out.strip() == "0") == (who == "one")


def test_after_the_fire_the_ledger_goes_on_where_it_was(typed) -> None:
    typing, _ = typed
    said = typing.made.types("noor", "breakglass ledger export --to copy")
    assert (said.code, "nobody signed this request" in said.err) == (3, True)  # no reader key there
    said = typing.made.types("one", "breakglass ledger export --to copy")
    assert said.code == 0, said.err
    said = typing.made.types("one", "breakglass ledger verify copy")
    assert said.code == 0, said.err
    (rebuilt,) = [said for act, said in typing.said if "ledger rebuild" in act.text]
    size = int(re.search(r"rebuilt +(\d+) records", rebuilt.out)[1])
    assert int(said.out.split()[1]) > size  # the incident was closed behind it


def test_no_generated_maintainer_is_left(typed) -> None:
    typing, _ = typed
    shown = typing.made.types("sam", "breakglass trust update && breakglass trust show")
    assert "2 of: mira, sam\n" in shown.out


def test_the_page_names_the_addresses_that_are_typed() -> None:
    page = PAGE.read_text()
    assert all(ADDRESSES[each] in page for each in ("one", "two", "db"))
    for act in acts_of(PAGE):
        assert act.who in ADDRESSES
        if not act.file:
            done = subprocess.run(["bash", "-n"], input=act.text, text=True, check=False)
            assert done.returncode == 0, act.text
