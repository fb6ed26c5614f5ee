"""The training step of one rank among several: the model of torch under its own DDP.

``DistributedDataParallel`` sums the ranks' gradients bucket by bucket while the backward pass still
runs (Li et al., PVLDB 13(12)); the update that follows is :class:`TorchStep`'s and the same on
every rank. Statistics of batch normalization stay each rank's own, as in DDP without
``SyncBatchNorm``.
"""

# No postponed annotations here: DDP compares those of a communication hook with its own types.
import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from experiments.models.batching import Rows
from experiments.models.process_group import Group, Traffic
from experiments.models.steps_torch import TorchStep


class DataParallelStep(TorchStep):
    """A :class:`TorchStep` whose batches, inside :meth:`together`, are one rank's share."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._group: Group | None = None
        self._wrapped: Any = None
        self._traffic = Traffic()
        self._scale: float | None = None

    @contextlib.contextmanager
    def together(self, group: Group, batch: int) -> Iterator[Traffic]:
        """Train in step with all other ranks of the group that this process has joined.

        Parameters
        ----------
        batch : rows of all ranks in one step; what is minimized is the mean over them.
        """
        if self._group != group:
            self._wrap(group)
        self._traffic = Traffic()
        self._scale = group.size / batch  # DDP divides the sum of gradients by the ranks
        try:
            yield self._traffic
        finally:
            self._scale = None

    def train_batch(self, x: Rows, y: Rows) -> None:
        if self._scale is None:
            super().train_batch(x, y)
            return
        labels = self._tensor(y).float()
        logits = self._wrapped(self._tensor(x), training=True)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        (losses.sum() * self._scale).backward()
        self._traffic.steps += 1
        with torch.no_grad():
            self._apply_adam([weight.grad for weight in self._trainable])
            for weight in self._trainable:
                weight.grad = None
            self._count(losses, logits, labels)

    def digest(self) -> int:
        """48 bits over what must be equal on all ranks: trainable weights and Adam's moments."""
        digest = hashlib.blake2b(digest_size=6)
        for tensor in (*self._trainable, *self._first, *self._second):
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return int.from_bytes(digest.digest(), "big")

    def _wrap(self, group: Group) -> None:
        if self._wrapped is not None:
            # The wrapper is in cycles; these two own the hooks on the weights, and go at once.
            self._wrapped.logger = self._wrapped.reducer = None
        self._group = self._wrapped = None
        for weight in self._trainable:
            weight.grad = None
        self._wrapped = torch.nn.parallel.DistributedDataParallel(
            self.model,
            init_sync=False,  # all ranks load the same state, and Keras has no buffers in it
            gradient_as_bucket_view=True,
        )
        self._wrapped.register_comm_hook(None, self._reduce)
        self._group = group

    def _reduce(self, state: None, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
        self._traffic.bytes += bucket.buffer().nbytes
        return allreduce_hook(state, bucket)
