"""Runs in Ansible's environment: one playbook, told on standard input, answered in lines of JSON.

The job is the first line. When standard input ends, because whoever asked has ended or had enough,
the playbook is ended too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT = 20
"""How many runs' artefacts stay."""
_STATES = {
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}


def main() -> int:
    job: Mapping[str, Any] = json.loads(sys.stdin.readline())
    if job["kind"] == "inventory":
        tell(inventory(job))
    else:
        play(job)
    return 0


def tell(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def inventory(job: Mapping[str, Any]) -> dict[str, Any]:
    """The hosts of an inventory by group, and what is the same for all of them."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
    done = subprocess.run(
        [*command, "--inventory", job["inventory"], *job["options"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return {"event": "refused", "reason": done.stderr}
    found = json.loads(done.stdout)
    variables = found.pop("_meta")["hostvars"]
    return {
        "event": "inventory",
        "groups": {name: group.get("hosts", []) for name, group in found.items()},
        "images_wanted": any("images_wanted" in each for each in variables.values()),
        "images_archive": next(
            (
                str(each["images_archive"])
                for each in variables.values()
                if "images_archive" in each
            ),
            "",
        ),
    }


def play(job: Mapping[str, Any]) -> None:
    """Run a playbook; an event for each task of each host, and one for the end."""
    import ansible_runner  # type: ignore[import-not-found]

    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    # What an earlier run was told would be taken for this one's.
    shutil.rmtree(Path(job["folder"]) / "env", ignore_errors=True)
    done = ansible_runner.run(
        private_data_dir=job["folder"],
        project_dir=job["project"],
        playbook=job["playbook"],
        inventory=job["inventory"],
        extravars=job["extra"],
        cmdline=" ".join(job["options"]),
        envvars={"ANSIBLE_CONFIG": os.environ["ANSIBLE_CONFIG"]},
        settings={"pexpect_timeout": 1},
        rotate_artifacts=KEPT,
        quiet=True,
        event_handler=_event,
        cancel_callback=ended.is_set,
    )
    said = [str(event.get("stdout", "")) for event in done.events if event["event"] == "verbose"]
    tell({"event": "ended", "code": done.rc, "status": done.status, "said": "\n".join(said)})


def _await_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _event(event: Mapping[str, Any]) -> bool:
    kind, data = event["event"], event.get("event_data", {})
    where = {"role": data.get("role", ""), "task": data.get("task", "")}
    if kind == "playbook_on_play_start":
        tell({"event": "play", "name": data["name"]})
    elif kind == "runner_on_start":
        tell({"event": "task", "host": data["host"], **where})
    elif kind in _STATES and not data.get("ignore_errors"):
        result = data.get("res", {})
        state = "changed" if result.get("changed") and kind == "runner_on_ok" else _STATES[kind]
        reason = _reason(result) if state in {"failed", "unreachable"} else ""
        tell({"event": "result", "host": data["host"], "state": state, "reason": reason, **where})
    return True


def _reason(result: Mapping[str, Any]) -> str:
    """What a task says it failed of; of a loop, the first item that did."""
    for item in result.get("results", ()):
        if item.get("failed"):
            return _reason(item)
    texts = (result.get(key) for key in ("msg", "stderr", "module_stderr", "stdout"))
    told = [str(text).strip() for text in texts if text]
    if told and told[0].startswith("non-zero return code"):
        told = told[1:] or told
    return told[0] if told else "no reason given"


if __name__ == "__main__":
    raise SystemExit(main())
