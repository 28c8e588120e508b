"""Alarms reach whoever runs the try-out: by webhook, checked, and from the monitor's file."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.alert_log import AlertLog


def post(hook: WebhookSink, body: bytes, key: str, secret: str) -> int:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Idempotency-Key": key, "Breakglass-Signature": f"sha256={signature}"}
    request = urllib.request.Request(hook.address, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


@pytest.fixture
def hook():
    made = WebhookSink()
    yield made
    made.close()


def test_a_signed_alarm_is_heard_once_however_often_it_comes(hook):
    body = json.dumps({"subject": "broke_glass"}).encode()
    assert [post(hook, body, "k", hook.secret) for _ in range(2)] == [204, 204]
    assert [each.body for each in hook.heard] == [{"subject": "broke_glass"}]


def test_an_alarm_that_is_not_the_monitors_is_refused_and_counted(hook):
    assert post(hook, b"{}", "k", "a guess") == 403
    assert (hook.heard, hook.forged) == ([], 1)


def test_waiting_for_an_alarm_is_bounded(hook):
    assert hook.wait_for(lambda each: True, 0.05) is None


def test_the_alarm_file_is_told_from_now_on_and_only_whole_lines(tmp_path: Path):
    path = tmp_path / "alarms.log"
    path.write_text('{"text":"old"}\n')
    log = AlertLog(path)
    with path.open("a") as file:
        file.write('{"text":"one"}\nnonsense\n{"te')
        file.flush()
        assert log.new() == ["one"]
        file.write('xt":"two"}\n')
    assert log.new() == ["two"]
    assert log.new() == []


def test_an_alarm_file_that_is_not_there_yet_is_no_trouble(tmp_path: Path):
    assert AlertLog(tmp_path / "none").new() == []
