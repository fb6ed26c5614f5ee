"""Logs in the formats of the original release, made up: every number in them is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

Samples = Mapping[float, tuple[float, float]]
"""Two values by second."""

START = datetime(2020, 8, 18, 16, 47, 28)


def at(seconds: float, start: datetime = START) -> str:
    """A time of a log, so many seconds after the start."""
    return str(start + timedelta(seconds=seconds))


def write(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def global_log(name: str, seconds: float, start: datetime = START) -> list[str]:
    """The three lines of an experiment."""
    return [
        f"{name}, Start time {at(0, start)}",
        f"{name}, End time {at(seconds, start)}",
        f"{name}, TOTAL EXECUTION TIME OVER ALL MST {seconds:.0f}",
    ]


def info(edge: str, name: str, second: float, segment: int, start: datetime = START) -> str:
    """A line that the database sent to its client."""
    where = f"(seg{segment} slice1 10.10.1.{segment + 1}:40000 pid=77)"
    return f"INFO:  {edge} {name}: {at(second, start)}  {where}"


def in_database(segment: int, *, hops: bool = True, start: datetime = START) -> list[str]:
    """One job: 2 s of hopping, two buffers of 10 s with 3 s between, 1 s idle, 5 s of evaluation.

    And 4 s of preparing and clearing, which count to training: 24 + 5 = 29 s, 3 s, 2 s, 1 s. As CTQ
    logs; without ``hops`` as MA and UDAF do, where the 2 s are of training.
    """
    steps = [
        ("Start", "inside fit_transition", 0),
        ("Start", "fit_transition initialization", 1),
        ("Start", "fit_transition model hopping", 1),
        ("End", "fit_transition model hopping", 3),
        ("End", "fit_transition initialization", 3),
        ("Start", "fit_transition training", 4),
        ("End", "fit_transition training", 14),
        ("End", "inside fit_transition", 14),
        ("Start", "inside fit_transition", 17),
        ("Start", "fit_transition initialization", 17),
        ("End", "fit_transition initialization", 17),
        ("Start", "fit_transition training", 18),
        ("End", "fit_transition training", 28),
        ("Start", "fit_transition clearing", 28),
        ("End", "fit_transition clearing", 29),
        ("End", "inside fit_transition", 29),
        ("Start", "inside internal_keras_eval_transition", 30),
        ("Start", "internal_keras_eval_transition initialization", 30),
        ("Start", "internal_keras_eval_transition model hopping", 30),
        ("End", "internal_keras_eval_transition model hopping", 30),
        ("End", "internal_keras_eval_transition initialization", 30),
        ("Start", "internal_keras_eval_transition evaluate", 30),
        ("End", "internal_keras_eval_transition evaluate", 35),
        ("End", "inside internal_keras_eval_transition", 35),
    ]
    return [
        info(edge, name, second, segment, start)
        for edge, name, second in steps
        if hops or "model hopping" not in name
    ]


def scheduled(second: int, event: str, worker: int, mst: int = 0, epoch: int = 0) -> str:
    """A line of Cerebro's scheduler."""
    if event == "PRELOAD_COMPLETED":
        return f"TIME: {second}, EVENT: {event}, WORKER: {worker}"
    return (
        f"TIME: {second}, EVENT: {event}, ITERATION: {epoch}, WORKER: {worker}, MST: {mst}, "
        f"PARTITIONS: {worker}, EPOCH: {epoch}, learning_rate:0.0001,batch_size:32"
    )


def model_log(errors: Sequence[float], partitions: int = 2) -> list[str]:
    """A model of Cerebro's workers; on the second partition its error is 0.1 higher."""
    lines = ["MST: learning_rate:0.0001,lambda_value:0.0001,batch_size:32,model:vgg16"]
    for epoch, error in enumerate(errors):
        for mode in ("TRAIN", "VALID"):
            for partition in range(partitions):
                wrong = error + 0.1 * partition
                lines.append(
                    f"EPOCH: {epoch}, PARTITION: {partition}, UNIX TIME: 1597250000, "
                    f"{mode} LOSS: {2 * wrong:.4f}, ERROR: {wrong:.4f}, "
                    f"ERROR-1: {wrong + 0.2:.4f}, "
                    "Model Building and Session Initialization Time: 1.0, Time: 2.0, "
                    "Checkpoint Save Time: 0.1"
                )
    return lines


def cpu_log(samples: Samples, start: datetime = START) -> list[str]:
    return [
        line
        for second, (busy, memory) in samples.items()
        for line in (at(second, start), f"{busy:g}%,{memory:g}%")
    ]


def gpu_log(samples: Samples, start: datetime = START) -> list[str]:
    return [
        line
        for second, (busy, memory) in samples.items()
        for line in (at(second, start), f"{busy:g} %, {memory:g} %, 120.10 W")
    ]


def disk_log(samples: Samples, start: datetime = START) -> list[str]:
    """MB read and written since the node started, on sda; sdb has ten times as much."""
    head = "Device tps MB_read/s MB_wrtn/s MB_read MB_wrtn"
    return [
        line
        for second, (read, written) in samples.items()
        for line in (
            at(second, start),
            f"{head} sda 1.00 0.01 0.02 {read:g} {written:g} "
            f"sdb 1.00 0.01 0.02 {10 * read:g} {10 * written:g}",
        )
    ]


def network_line(kind: str, interface: str, received: float, sent: float) -> str:
    return (
        f"{kind}_IFACE: {interface}, rxpck/s: 10.00, txpck/s: 9.00, rxkB/s: {received:.2f}, "
        f"txkB/s: {sent:.2f}, rxcmp/s: 0.00, txcmp/s: 0.00, rxmcst/s: 0.00, %ifutil: 0.01"
    )


def network_log(samples: Samples, start: datetime = START) -> list[str]:
    """kB/s received and sent on the experiment's network; the control network has other numbers."""
    return [
        line
        for second, (received, sent) in samples.items()
        for line in (
            at(second, start),
            network_line("CONTROL", "eno1", 7, 7),
            network_line("EXPERIMENT", "enp94s0f0", received, sent),
        )
    ]


def resources(root: Path, nodes: Sequence[str], start: datetime = START) -> None:
    """All four logs of every node: a sample every 10 s, with other values outside of the 100 s.

    A node is 40 % busy with 20 % of its memory, worker1 60 % with 30 %; it receives 1024 kB/s,
    reads 11 MB/s and writes twice that.
    """
    seconds = range(-20, 140, 10)

    def logged(values: tuple[float, float], others: tuple[float, float]) -> Samples:
        return {second: values if 0 <= second < 100 else others for second in seconds}

    for node in nodes:
        share = logged((60.0, 30.0) if node == "worker1" else (40.0, 20.0), (99, 99))
        received = logged((1024, 5), (9e9, 9e9))
        counted: Samples = {second: (1000.0 + second, 2000.0 + 2 * second) for second in seconds}
        for name, lines in {
            f"cpu_logs/cpu_utilization_{node}.log": cpu_log(share, start),
            f"gpu_logs/gpu_utilization_{node}.log": gpu_log(share, start),
            f"network_logs/network_{node}.log": network_log(received, start),
            f"disk_logs/disk_{node}.log": disk_log(counted, start),
        }.items():
            write(root / name, lines)


def when(stamp: str) -> datetime:
    """The time that names a folder."""
    return datetime.strptime(stamp, "%Y_%m_%d_%H_%M_%S").replace(tzinfo=None)


def release(root: Path) -> Path:
    """A small release: runs of every kind at their real time stamps, resources of two places."""
    gpu = root / "all_logs_gpu_2021feb"
    ctq = root / "run_logs" / "2020_08_18_16_47_28"
    write(ctq / "global.log", global_log("cerebro-ctq", 100))
    write(
        ctq / "cerebro-ctq" / "client.log",
        [*in_database(0), "{'0_vgg16': [0.25, 0.5], '1_resnet50': [0.5, 0.75]}"],
    )
    (ctq / "cerebro-ctq" / "models_info.pkl").write_bytes(b"\x80\x03}q\x00.")
    _breakdowns(root / "run_logs")
    _standalone(root / "run_logs" / "2020_08_12_17_22_58", "e2e_filesystem_cerebro_standalone")
    _standalone(root / "run_logs" / "2020_08_14_16_08_52", "cerebro-da")
    _standalone(gpu / "run_logs" / "2021_03_06_02_16_29", "da-hyperopt")
    _ddp(gpu / "run_logs" / "2021_02_10_17_53_47")
    _searches(gpu / "run_logs")
    for workers, stamp in {2: "2021_03_19_21_03_27", 4: "2021_03_19_02_06_09"}.items():
        folder = gpu / "run_logs" / stamp
        log = global_log("cerebro-udaf_drill_down_hetro", 1600 / workers, when(stamp))
        write(folder / "global.log", log)
    for workers, stamp in {2: "2021_03_23_09_26_42", 4: "2021_03_23_04_06_43"}.items():
        log = global_log("cerebro-ctq_drill_down_hetro", 1400 - 300 * workers, when(stamp))
        write(gpu / "run_logs" / stamp / "global.log", log)
    for workers, stamp in {1: "2020_09_29_14_38_10", 2: "2020_09_26_14_55_16"}.items():
        logs = [*global_log("ma", 800 / workers, when(stamp))]
        logs += global_log("cerebro", 900 / workers, when(stamp))
        write(root / "scalability" / "run_logs" / stamp / "global.log", logs)
    resources(root, ["master", "worker0", "worker1"])
    write(root / "notes.txt", ["what is this"])
    return root


def _breakdowns(root: Path) -> None:
    shared = root / "2020_10_05_00_23_36"
    start = when(shared.name)
    later = start + timedelta(seconds=500)
    write(
        shared / "global.log", [*global_log("ma", 300, start), *global_log("cerebro", 300, later)]
    )
    write(shared / "ma" / "client.log", in_database(0, hops=False, start=start))
    write(shared / "cerebro" / "client.log", in_database(0, hops=False, start=later))
    own = root / "2020_10_06_19_40_24"
    write(own / "global.log", global_log("cerebro-ctq", 200, when(own.name)))
    write(own / "cerebro-ctq" / "client.log", in_database(0, start=when(own.name)))


def _standalone(folder: Path, name: str) -> None:
    write(folder / "global.log", global_log(name, 100, when(folder.name)))
    lines = [scheduled(20, "PRELOAD_COMPLETED", 0), scheduled(30, "PRELOAD_COMPLETED", 1)]
    for epoch, second in enumerate((32, 62)):
        for kind, later, took in (("TRAIN", 0, 18), ("VALID", 20, 6)):
            for edge, at_second in (
                ("LAUNCHED", second + later),
                ("COMPLETED", second + later + took),
            ):
                lines += [
                    scheduled(at_second, f"{kind}_{edge}", worker, worker, epoch)
                    for worker in (0, 1)
                ]
    write(folder / name / "client.log", lines)
    write(folder / name / "scheduler.log", lines)
    for model, errors in enumerate(([0.6, 0.4], [0.5, 0.3])):
        write(folder / name / f"{model}.log", model_log(errors))


def _ddp(folder: Path) -> None:
    name, start = "e2e_imagenet_pytorchddp_da", when(folder.name)
    write(folder / "global.log", global_log(name, 200, start))
    marks = [
        ("Start", "MST #0: {'lr': 0.1}", 0),
        ("Start", "loading data, partition-0", 0),
        ("End", "loading data, partition-0", 40),
        ("Start", "training-train", 45),
        ("End", "training-train", 145),
        ("Start", "training-valid", 145),
        ("End", "training-valid", 165),
        ("End", "MST #0: {'lr': 0.1}", 170),
    ]
    for rank in (0, 1):
        lines = [f"{edge} {what}: {at(second, start)}" for edge, what, second in marks]
        write(folder / name / f"worker{rank}.log", lines)
    (folder / name / "all_logs_rank0_index0.pkl").write_bytes(b"\x80\x03}q\x00.")


def _searches(root: Path) -> None:
    ctq, spark, tasks = (root / each for each in _SEARCHES)
    write(ctq / "global.log", global_log("ctq-hyperopt", 7200, when(ctq.name)))
    lines = []
    for batch in (0, 1):
        ends = (3600 * batch + 1800 * epoch for epoch in (1, 2))
        lines += [f"LEFT JOBS: 0: {at(end, when(ctq.name))}" for end in ends]
        lines.append(f"{{'0_resnet18': [0.3, {0.5 + batch / 10}], '1_resnet34': [0.2, 0.4]}}")
        lines.append(f"ENDING BATCH:{batch}, FINISHED:2: {at(3600 * (batch + 1), when(ctq.name))}")
    write(ctq / "ctq-hyperopt" / "client.log", lines)
    start = when(spark.name)
    write(spark / "global.log", global_log("cerebro_spark-hyperopt", 5400, start))
    lines = [f"Start TRAINING: {at(1800, start)}"]
    for model in (0, 1):
        lines += [
            f"CEREBRO => Time: {at(3600 + 900 * epoch, start)}, Model: model_{model}, "
            f"Epoch: {epoch}, val_loss: 2.0, "
            f"val_top_k_categorical_accuracy: {0.3 + 0.2 * epoch + 0.1 * model}"
            for epoch in (0, 1)
        ]
    write(spark / "cerebro_spark-hyperopt" / "client.log", lines)
    start = when(tasks.name)
    write(tasks / "global.log", global_log("spark-hyperopt", 3600, start))
    history = "{'val_top_k_categorical_accuracy': [0.4, 0.6]}"
    for size in (32, 64):
        write(
            tasks / "spark-hyperopt" / f"batch_size:{size}|model:resnet18.log",
            [f"MST: {size}: {at(0, start)}", f"HISTORY: {history}: {at(3600, start)}"],
        )


_SEARCHES = ("2021_02_27_20_21_34", "2021_04_02_20_27_41", "2021_03_11_17_46_51")
