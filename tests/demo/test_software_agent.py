"""Who has no security key tries a graver glass with one of software, in an agent of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.embedded.isolated import Person

AGENT = [sys.executable, "-m", "breakglass.demo.software_agent"]
MAKE = [sys.executable, "-m", "breakglass.demo.software_key_file"]


def test_a_software_security_key_is_made_and_held_by_an_agent_and_init_signs_with_it(tmp_path):
    key = tmp_path / "soft"
    subprocess.run([*MAKE, str(key)], check=True)
    assert key.stat().st_mode & 0o777 == 0o600
    assert subprocess.run([*MAKE, str(key)], capture_output=True).returncode == 6
    socket = str(tmp_path / "agent.sock")
    agent = subprocess.Popen([*AGENT, socket, str(key)], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "ready\n"
        mira = Person.at(tmp_path)
        mira.extra["SSH_AUTH_SOCK"] = socket
        said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", f"{key}.pub")
        assert said.code == 0, said.err
        doctor = mira.types("breakglass", "doctor", "--org", "org")
        assert "your key is a security key: two factors" in doctor.out
        # What lint says of a graver glass leads out of it, and not back to the line before.
        file = tmp_path / "org" / "bundle" / "breakglass.yaml"
        text = file.read_text().replace("blast_radius: contained", "blast_radius: broad")
        file.write_text(text.replace("who: [group:oncall]", "who: [second]"))
        one = mira.types("breakglass", "policy", "check", "--org", "org")
        assert "when: {mfa_age: 5m}, and a security key or passkey for each" in one.out
        file.write_text(
            file.read_text().replace("who: [second]", "who: [second]\n    when: {mfa_age: 5m}")
        )
        two = mira.types("breakglass", "policy", "check", "--org", "org")
        assert "a broad glass takes security keys alone: ssh-keygen -t ed25519-sk" in two.out
        assert "leave 'mfa_age' out" not in two.out
    finally:
        agent.terminate()
        agent.wait(10)
