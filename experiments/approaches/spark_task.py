"""What runs in Spark's executors: one task a partition, for as long as the driver wants it."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from experiments.approaches import partition_files, partition_parquet
from experiments.approaches.spark_channel import NAME, Message, Place, frame, receive
from experiments.models.worker import Report

STEPS: Mapping[str, Callable[..., Report]] = {
    "cast": partition_parquet.cast,
    "create": partition_files.create,
    "unit": partition_parquet.run_unit,
    "warm": partition_files.warm,
}
"""All that a driver may ask for."""


def serve(place: Place, task: int) -> None:
    """Carry out steps until the driver ends this task.

    Raises
    ------
    ConnectionError
        The driver is gone, or hung up.
    """
    asyncio.run(_serve(place, task))


async def _serve(place: Place, task: int) -> None:
    context = ssl.create_default_context(cadata=place.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    reader, writer = await asyncio.open_connection(
        place.host, place.port, ssl=context, server_hostname=NAME
    )
    writer.write(frame({"task": task, "token": place.token}))
    loop = asyncio.get_running_loop()
    # This thread hears of a cancellation while the other computes.
    with ThreadPoolExecutor(1, "step") as steps:
        try:
            while (message := await receive(reader)) is not None:
                if "end" in message:
                    return
                if "cancel" in message:
                    partition_files.cancel()
                else:
                    step = loop.run_in_executor(steps, _answer, message)
                    step.add_done_callback(partial(_reply, writer))
        finally:
            partition_files.cancel()
            writer.close()
    raise ConnectionError("the driver is gone")


def _answer(message: Message) -> Message:
    try:
        return {"report": STEPS[message["step"]](*message["arguments"])}
    except Exception as error:  # noqa: BLE001 - whatever it is, the driver has to know
        return {
            "error": type(error).__name__,
            "text": str(error),
            "trace": "".join(traceback.format_exception(error)),
        }


def _reply(writer: asyncio.StreamWriter, step: asyncio.Future[dict[str, Any]]) -> None:
    if not writer.is_closing():
        writer.write(frame(step.result()))
