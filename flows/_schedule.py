"""Deployments, their work pool, and the automation that posts notices, on a project's server."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from escalometer.errors import DataError, UsageError
from escalometer.layout import prefect_folder
from escalometer.runtime.files import digest, read_json, write_json
from flows._notices import PREFIX
from flows._words import say

#: The work pool of prefect.yaml, on this machine.
POOL = "escalometer"

_BLOCK = "escalometer-notices"
_AUTOMATION = "escalometer notices"

#: What is posted: `text` is what Slack, Mattermost and Teams show.
_PAYLOAD = """{
  "text": {{ (event.payload.subject ~ ": " ~ event.payload.body) | tojson }},
  "kind": {{ event.payload.kind | tojson }},
  "model": {{ event.payload.model | tojson }},
  "subject": {{ event.payload.subject | tojson }},
  "body": {{ event.payload.body | tojson }},
  "link": {{ event.payload.link | tojson }}
}"""


def deploy(root: Path, definition: Path, environment: Mapping[str, str]) -> None:
    """Bring pool and deployments on the server up to date with a prefect.yaml.

    Where it has not changed since, nothing is written: what a person paused stays paused.

    Parameters
    ----------
    root : Path
        The project.
    definition : Path
        The file.
    environment : mapping of str to str
        With the server's address, and what the file takes from the environment.

    Raises
    ------
    UsageError
        If Prefect refuses the file.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    record = prefect_folder(root) / "deployed.json"
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        n_deployed = len(client.read_deployments())
    wanted = {"prefect_yaml": digest(definition)}
    try:
        is_current = n_deployed > 0 and read_json(record) == wanted
    except DataError:
        is_current = False
    if is_current:
        return
    say("writing the deployments of prefect.yaml …")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", str(definition)]
    done = subprocess.run(  # noqa: S603
        command, cwd=root, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UsageError(f"{definition}: Prefect refuses it: {done.stdout}{done.stderr}")
    write_json(wanted, record)


def notify_at(url: str) -> None:
    """Post every notice to an address, by a webhook block and an automation.

    Parameters
    ----------
    url : str
        The address. Prefect keeps it encrypted.
    """
    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client
    from prefect.events.actions import CallWebhook
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    block = Webhook(method="POST", url=url).save(_BLOCK, overwrite=True)
    automation = AutomationCore(
        name=_AUTOMATION,
        description="Posts notices about releases to the webhook block " + _BLOCK,
        trigger=EventTrigger(expect={f"{PREFIX}*"}, posture="Reactive", threshold=1, within=0),
        actions=[CallWebhook(block_document_id=block, payload=_PAYLOAD)],
    )
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(_AUTOMATION)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)
