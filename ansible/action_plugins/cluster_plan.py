"""Plans the nodes of the inventory, or says in one line what in it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.errors import SpecError
from experiments.specs import inventory
from experiments.specs.topology import Topology


class ActionModule(ActionBase):
    """``cluster_plan: common=...``; every host has told of itself before."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        groups, told = task_vars["groups"], task_vars["hostvars"]
        try:
            settings = inventory.settings_from(self._task.args["common"])
            every = {
                name: inventory.host_from(name, told[name]["cluster_told"])
                for name in task_vars["ansible_play_hosts_all"]
            }
            hosts = [every[name] for name in groups.get("nodes", [])]
            masters = list(groups.get("master", []))
            nodes = inventory.plan(settings, hosts, masters)
            members = dict.fromkeys([*groups["nodes"], *masters])
            result["addresses"] = inventory.addresses([every[name] for name in members])
            self._check_other(Path(self._task.args["topology"]), settings.name)
        except SpecError as error:
            return {**result, "failed": True, "msg": str(error)}
        result["nodes"] = inventory.as_variables(nodes)
        result["master"] = masters[0] if masters else hosts[0].name
        result["folders"] = {
            name: [inventory.node_folder(settings, folder) for folder in host.folders]
            for name, host in every.items()
        }
        return result

    @staticmethod
    def _check_other(path: Path, name: str) -> None:
        """One cluster at a time has this machine's topology file."""
        other = Topology.read(path).name if path.exists() else name
        if other != name:
            raise SpecError(
                f"{path} is of the cluster {other}: tear that down first (--teardown with its "
                "inventory), or set CEREBRO_DS_HOME to another folder"
            )
