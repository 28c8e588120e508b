"""Jobs of the real cron and at: they run in their grant's group, and are taken away at its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from tests.kit.ssh_grants import wait_until
from tests.sshd.conftest import Place, Session


def inside(place: Place, account: int, *words: str) -> str:
    """Run a command as an account where the host's spools are, by no grant."""
    ran = ("nsenter", "--mount", f"--target={place.host.sshd.pid}", "--")
    ran += ("runuser", "-u", place.host.accounts[account], "--", *words)
    done = subprocess.run(ran, capture_output=True, text=True, check=False, cwd="/")
    return done.stdout + done.stderr


def jobs_of(place: Place) -> list[str]:
    """Return the names in both spools, without atd's own."""
    cron, at = place.host.folder / "cron" / "crontabs", place.host.folder / "cron" / "atjobs"
    return sorted(each.name for each in (*cron.iterdir(), *at.iterdir()) if each.name != ".SEQ")


def over(session: Session) -> None:
    session.cut()
    assert session.place.host.left(session.handle) == []
    evidence = session.dead()
    assert "0 jobs" in evidence.get("evidence", str(evidence))


def test_what_at_and_cron_were_given_by_a_grant_is_taken_away_and_the_rest_is_left(
    place: Place,
) -> None:
    host = place.host
    own = "17 3 * * 0 true ours\n"
    inside(place, 0, "sh", "-c", f"echo '{own.strip()}' | crontab -")
    inside(place, 0, "sh", "-c", "echo true own | at -q b now + 3 days")
    before = jobs_of(place)
    assert len(before) == 2
    session = place.begin()
    typed = "(crontab -l; echo '* * * * * true mine') | crontab -; echo true mine | at now + 2 days"
    assert session.runs(typed).returncode == 0
    assert len(jobs_of(place)) == 3
    over(session)
    assert jobs_of(place) == before
    assert (host.folder / "cron" / "crontabs" / host.accounts[0]).read_text().endswith(own)
    told = host.ask("tidy", handle=session.handle)["left_behind"]
    assert len(told) == 2
    kept = [Path(each.rpartition("kept ")[2]).read_text() for each in told]
    assert all("true mine" in each for each in kept)
    # What is taken away was the grant's: a second end finds nothing more to take.
    over(session)
    assert jobs_of(place) == before


def test_a_job_that_runs_while_its_grant_ends_is_killed_with_it(place: Place) -> None:
    host, file = place.host, Path(f"/tmp/{place.host.name}.job")
    if not host.jobs:
        host.start_jobs()
    session = place.begin()
    loop = f"while :; do date >> {file}; sleep 0.1; done"
    assert session.runs(f"echo 'setsid sh -c \"{loop}\"' | at now", account=1).returncode == 0
    wait_until(file.exists, 90)
    assert host.left(session.handle)
    over(session)
    size = os.path.getsize(file)
    time.sleep(0.5)
    assert os.path.getsize(file) == size
    file.unlink()


def test_a_cron_job_of_a_grant_runs_in_its_group_and_never_behind_its_end(place: Place) -> None:
    host, file = place.host, Path(f"/tmp/{place.host.name}.cron")
    if not host.jobs:
        host.start_jobs()
    session = place.begin()
    typed = f"echo '* * * * * while :; do date >> {file}; sleep 0.1; done' | crontab -"
    assert session.runs(typed, account=2).returncode == 0
    wait_until(file.exists, 130)
    assert host.left(session.handle)
    over(session)
    size = os.path.getsize(file)
    # Behind the next full minute nothing has begun again.
    time.sleep(62 - time.time() % 60)
    assert os.path.getsize(file) == size
    with contextlib.suppress(FileNotFoundError):
        file.unlink()


def test_jobs_of_accounts_that_no_grant_uses_begin_without_a_daemon(place: Place) -> None:
    host = place.host
    words = [host.program, "--folder", host.folder, "session"]
    said = {"PAM_TYPE": "open_session", "PAM_SERVICE": "cron"}
    session = place.begin(scope={"accounts": (host.accounts[0],)})
    assert session.runs("id").returncode == 0
    host.kill_daemon()
    try:
        for account, code in (("root", 0), (host.accounts[0], 5)):
            ran = subprocess.run(words, env=said | {"PAM_USER": account}, check=False)
            assert ran.returncode == code, account
    finally:
        host.start_daemon()
    session.cut()
