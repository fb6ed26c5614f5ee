"""Writes the cluster's topology file on this machine, if it is not as it should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.errors import UserError
from experiments.specs import inventory
from experiments.specs.topology import Topology


class ActionModule(ActionBase):
    """``cluster_topology: path=... common=...``, once the hosts have told of their GPUs."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        told, path = task_vars["hostvars"], Path(self._task.args["path"])
        names = task_vars["groups"]["nodes"]
        try:
            made = inventory.topology(
                inventory.settings_from(self._task.args["common"]),
                inventory.nodes_from(task_vars["cluster_plan"]["nodes"]),
                [inventory.host_from(name, told[name]["cluster_told"]) for name in names],
                {name: list(told[name]["nvidia_gpus"]) for name in names},
            )
            result["changed"] = not path.exists() or Topology.read(path) != made
            if result["changed"] and not self._task.check_mode:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.write(path)
        except UserError as error:
            return {**result, "failed": True, "msg": str(error)}
        return result
