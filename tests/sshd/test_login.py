"""A real sshd lets the holder of a grant in, and nobody else by it."""

from __future__ import annotations

from tests.sshd.conftest import Place


def test_a_grants_holder_logs_in_and_the_session_is_in_the_grants_group(place: Place) -> None:
    session = place.begin()
    done = session.runs("cat /proc/self/cgroup; id -un")
    assert done.returncode == 0, done.stderr + place.host.log[-3000:]
    assert f"/{place.host.name}/{session.handle}/" in done.stdout
    assert place.host.accounts[0] in done.stdout
    assert "error" not in session.cut()
    assert "0 processes" in session.dead()["evidence"]
    assert session.runs("id").returncode == 255
