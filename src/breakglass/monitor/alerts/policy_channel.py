"""One channel as a policy names it, made with the monitor's own secrets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from breakglass.errors import MisconfiguredError
from breakglass.monitor.alerts.channel import Channel
from breakglass.monitor.alerts.log_file import LogFile
from breakglass.monitor.alerts.mail import Mail, MailServer
from breakglass.monitor.alerts.pagerduty import PagerDuty
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.alerts.slack import Slack
from breakglass.monitor.alerts.webhook import Webhook
from breakglass.policy.alert_routes import Channel as PolicyChannel
from breakglass.policy.alert_routes import ChannelType, is_log_file


def made_channel(
    channel: PolicyChannel, folder: Path, secrets: SecretFolder, within: timedelta
) -> Channel:
    """Make one.

    Args:
        channel: the policy's words.
        folder: the monitor's data folder, which its files stay in.
        secrets: what the policy names as ``secret:NAME``.
        within: how long it may take.

    Raises:
        MisconfiguredError: the secret is not there, or says nothing that can be called; or its
            name has another character than a-z, 0-9, ``_`` and ``-``: a dot is a person's.
    """
    if not channel.name.replace("-", "").replace("_", "").isalnum():
        raise MisconfiguredError("its name may hold a-z, 0-9, '_' and '-' alone")
    if channel.type is ChannelType.LOG_FILE:
        path = folder / channel.target
        if not is_log_file(channel.target):
            # Kept routes of a release before may say so too.
            raise MisconfiguredError(
                "its file must lie directly in the monitor's data folder and end in .log or .jsonl"
            )
        if not path.resolve().is_relative_to(folder.resolve()):
            raise MisconfiguredError("its file lies outside the monitor's data folder")
        return LogFile(path)
    secret = secrets.value(channel.target)
    if channel.type is ChannelType.WEBHOOK:
        address, _, key = secret.partition(" ")
        return Webhook(address, key.strip(), within)
    if channel.type is ChannelType.SLACK:
        return Slack(secret, within)
    if channel.type is ChannelType.PAGERDUTY:
        return PagerDuty(secret, within)
    return Mail(MailServer.parse(secret), channel.to, within)
