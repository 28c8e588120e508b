"""The addresses of an organisation: chosen once at ``init``, kept at every start."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from breakglass.operate.fixed_address import ports_of
from breakglass.process.folder import write_whole
from tests.embedded.isolated import Person, running_up


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    person.leaves_ports = True
    return person


def init(person: Person, org: str = "org", *more: str) -> Path:
    said = person.types("breakglass", "init", org, "--as", "mira", "--key", str(person.key), *more)
    assert said.code == 0, said.err
    return person.cwd / org


def addresses(org: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text().strip() for path in org.glob("*/address")}


@contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


def test_every_start_has_the_addresses_that_init_chose(mira: Person) -> None:
    org = init(mira)
    with running_up(mira):
        first = addresses(org)
    with running_up(mira):
        assert addresses(org) == first
    assert {name: int(url.rpartition(":")[2]) for name, url in first.items()} == ports_of(org)
    assert len(first) == 7


def test_two_organisations_of_a_person_have_no_port_in_common_though_none_runs(
    mira: Person,
) -> None:
    ports = ports_of(init(mira, "one")).values()
    assert not set(ports) & set(ports_of(init(mira, "two")).values())
    # Chance alone would seldom hit; asked for by number it always does.
    base = str(min(ports))
    said = mira.types("breakglass", "init", "three", "--as", "mira", "--base-port", base)
    assert (said.code, f"port {base} of 127.0.0.1 is taken" in said.err) == (6, True)


def test_a_port_that_is_taken_names_who_listens_there(mira: Person) -> None:
    org = init(mira)
    port = ports_of(org)["ledger"]
    with listening(port):
        said = mira.types("breakglass", "up", "--org", "org")
    assert said.code == 5
    assert f"cannot listen on 127.0.0.1:{port}: process {os.getpid()} (" in said.err
    assert "Traceback" not in said.err


def test_a_base_port_that_is_taken_is_refused_and_nothing_is_made(mira: Person) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.listen()
        said = mira.types("breakglass", "init", "org", "--as", "mira", "--base-port", str(port))
    assert (said.code, f"port {port} of 127.0.0.1 is taken" in said.err) == (6, True)
    assert not (mira.cwd / "org").exists()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.7", "it is no address of this machine"),
        ("0.0.0.0", "others cannot call it"),
        ("ledger.example", "a name would need DNS at night"),
    ],
)
def test_a_host_where_nobody_can_listen_is_refused_at_init(
    mira: Person, host: str, why: str
) -> None:
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--host", host)
    assert (said.code, why in said.err) == (6, True)
    assert not (mira.cwd / "org").exists()


def test_a_custodians_folder_works_on_a_machine_without_the_organisation(mira: Person) -> None:
    org = init(mira, "org", "--custodians", "3")
    home = mira.cwd / "elsewhere"
    (org / "keys" / "custodians" / "custodian-1").rename(home)
    settings = tomllib.loads((home / "client.toml").read_text())
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", settings["broker"])
    assert (home / settings["trust"]).read_bytes() == (org / "trust").read_bytes()
    said = mira.types("breakglass", "trust", "show", "--org", str(home))
    assert said.code == 0, said.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes into folders of others")
def test_what_root_writes_into_a_processs_folder_belongs_to_the_process(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    write_whole(tmp_path / "policy", b"log")
    found = (tmp_path / "policy").stat()
    assert (found.st_uid, found.st_gid) == (12345, 12345)
