"""docs/how-to/ssh.md, typed as it stands, at a real sshd with the host's half beside it."""

from __future__ import annotations

import shlex
import subprocess
from functools import partial
from pathlib import Path

import pytest

from breakglass.records.grant import handle_of
from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.processes import until
from tests.kit.sshd_host import SshHost, started_host, why_no_sshd
from tests.kit.typed_page import Act, acts_of

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/ssh.md"
_GRANT = "g-7kq3m2x4p5ab"
_HOST = "web-1 10.77.0.9 22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    if why := why_no_sshd():
        pytest.skip(why)
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    return person


def types(person: Person, act: Act, host: SshHost | None, grant: str) -> Typed:
    line = act.text.replace(_GRANT, grant or _GRANT)
    if host is not None:
        line = line.replace(_HOST, f"web-1 127.0.0.1 {host.port} {host.host_key}")
    said = person.types(*shlex.split(line))
    if " check web" in line:
        # PAM is ours in the mount namespace of sshd alone; the daemon sees the machine's.
        wrong = [each for each in said.out.splitlines() if each.startswith("FAIL")]
        assert all("/etc/pam.d/" in each for each in wrong), said.out
        return said
    assert said.code == 0, f"{line}: {said.err}{said.out}"
    return said


def put_in(person: Person, act: Act, host: SshHost) -> None:
    file = person.cwd / "org" / "bundle" / "breakglass.yaml"
    glass = act.text.replace("account: deploy", f"account: {host.accounts[0]}")
    text = file.read_text().replace("version: 1 ", "version: 2 ", 1)
    file.write_text(text.replace("\nchannels:", f"\n{glass}\nchannels:", 1))
    git = ["git", "-C", str(file.parent), "-c", "user.name=mira", "-c", "user.email=m@x"]
    subprocess.run([*git, "commit", "-qam", "web hosts"], check=True)


def test_every_line_of_the_page_can_be_typed_and_the_end_is_an_end(mira: Person) -> None:
    acts = acts_of(PAGE)
    with running_up(mira):
        made = types(mira, acts[0], None, "")
    trust = (mira.cwd / "org" / "trust").read_bytes()
    with started_host(
        trust, made.row("authority"), control_key=made.row("control"), accounts=1
    ) as host:
        settings = mira.cwd / "org/minter-web/settings.toml"
        text = settings.read_text()
        settings.write_text(text.replace("[ssh]\n", f'[ssh]\naccount = "{host.user}"\n', 1))
        types(mira, acts[1], host, "")
        with running_up(mira):
            lives(mira, acts[2:], host)


def lives(mira: Person, acts: list[Act], host: SshHost) -> None:
    grant = ""
    for act in acts:
        if act.file:
            put_in(mira, act, host)
            continue
        if " done " in act.text:
            session = mira.starts(
                *("breakglass", "ssh", "--org", "org", grant, "web-1", "--"),
                "echo in; setsid sleep 600 & exec sleep 600",
            )
            until(partial(host.left, handle_of(grant)), 30)  # type: ignore[arg-type]
        said = types(mira, act, host, grant)
        grant = said.row("grant") if " break " in act.text else grant
        if "id -un" in act.text:
            assert said.out.strip() == host.accounts[0]
    assert (mira.cwd / "hostname-of-web-1").read_text() == Path("/etc/hostname").read_text()
    assert (mira.cwd / "copied/moduli").read_bytes() == Path("/etc/ssh/moduli").read_bytes()
    # The live session is cut, with what it left in the background, and nobody comes in again.
    assert session.wait(30) != 0
    assert host.left(handle_of(grant)) == []
    again = mira.types("breakglass", "ssh", "--org", "org", grant, "web-1", "--", "id")
    assert again.code != 0

    def told() -> Typed:
        return mira.types("breakglass", "status", grant, "--org", "org")

    until(lambda: told().row("state") == "dead", 60)
    assert int(told().row("tail_ms")) >= 0
