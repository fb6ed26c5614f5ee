"""What runs in Spark's executors: one task a partition, for as long as the driver wants it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from experiments.approaches import partition_files
from experiments.approaches.answers import answer
from experiments.approaches.parquet_shard import ParquetShard
from experiments.approaches.spark_channel import NAME, Message, Place, frame, hang_up, receive
from experiments.models.worker import Report

Steps = Mapping[str, Callable[..., Report]]


def steps_on(shard: ParquetShard) -> Steps:
    """All that a driver may ask for."""

    def unit(kind: str, job: Mapping[str, Any], source: str, target: str | None) -> Report:
        return partition_files.run_unit(kind, job, shard, source, target)

    return {
        "cast": shard.cast,
        "create": partition_files.create,
        "unit": unit,
        "warm": lambda job: partition_files.warm(job, shard),
    }


def serve(place: Place, shards: Sequence[ParquetShard], task: int) -> None:
    """Carry out steps on a task's own shard until the driver ends the task.

    Raises
    ------
    ConnectionError
        The driver is gone, or hung up.
    """
    asyncio.run(_serve(place, steps_on(shards[task]), task))


async def _serve(place: Place, steps: Steps, task: int) -> None:
    context = ssl.create_default_context(cadata=place.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    reader, writer = await asyncio.open_connection(
        place.host, place.port, ssl=context, server_hostname=NAME
    )
    writer.write(frame({"task": task, "token": place.token}))
    loop = asyncio.get_running_loop()
    # This thread hears of a cancellation while the other computes.
    with ThreadPoolExecutor(1, "step") as lane:
        try:
            while (message := await receive(reader)) is not None:
                if "end" in message:
                    return
                if "cancel" in message:
                    partition_files.cancel()
                else:
                    step = loop.run_in_executor(lane, _answer, steps, message)
                    step.add_done_callback(partial(_reply, writer))
        finally:
            partition_files.cancel()
            await hang_up(writer)
    raise ConnectionError("the driver is gone")


def _answer(steps: Steps, message: Message) -> Message:
    return answer(lambda: steps[message["step"]](*message["arguments"]))


def _reply(writer: asyncio.StreamWriter, step: asyncio.Future[dict[str, Any]]) -> None:
    if not writer.is_closing():
        writer.write(frame(step.result()))
