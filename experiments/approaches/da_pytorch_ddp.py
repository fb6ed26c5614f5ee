"""DA-PyTorchDDP: data-parallel training on rows from the database's own page files.

The paper's Direct Access under another trainer (§4 and §5): ranks and steps are PyTorchDDP's, rows
and ETL are DA-Cerebro's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from experiments.approaches import direct_access, pytorch_ddp
from experiments.approaches.shard import Shard


class Approach(pytorch_ddp.Approach):
    """The approach as the driver runs it."""

    roles: ClassVar[tuple[str, ...]] = ("segment", "coordinator", "worker-scheduler", "worker")

    def _shards(self) -> Sequence[Shard]:
        return direct_access.page_shards(self._context)

    def prepare(self) -> None:
        """Load, pack and read."""
        direct_access.prepare(self._context, self._executor, self._remote)
