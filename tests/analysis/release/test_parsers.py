"""Each format of the release's logs, whole and damaged."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.analysis.release import client, global_log, model_log, samples
from experiments.analysis.release.events import components
from experiments.analysis.release.text import LISTED, LONGEST, Account, read
from experiments.specs.release_logs import load
from tests.analysis.release import made_up


def lines(texts: list[str]) -> Iterator[tuple[int, str]]:
    return enumerate(texts, 1)


def reasons(account: Account) -> list[tuple[int, str]]:
    return [(each.line, each.reason) for each in account.listed]


def read_all(path: Path) -> tuple[list[tuple[int, str]], Account, int]:
    account, passed = Account(), [0]

    def advance(done: int) -> None:
        passed[0] += done

    return list(read(path, account, advance)), account, passed[0]


def test_lines_that_cannot_be_used_are_told_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    whole = b"first\r\nna\xefve\nb\0c\n" + b"x" * (LONGEST + 5) + b"\nfifth\ncut o"
    path.write_bytes(whole)
    found, account, passed = read_all(path)
    assert found == [(1, "first"), (5, "fifth")]
    assert reasons(account) == [
        (2, "not UTF-8"),
        (3, "holds zero bytes"),
        (4, f"longer than {LONGEST} bytes"),
        (6, "cut off: the file ends before the line does"),
    ]
    assert account.lines == 6
    assert passed == len(whole)
    assert account.listed[0].text == "na\\xefve\\x0a"


def test_of_many_damaged_lines_the_first_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\xff\n" * 1000)
    _, account, _ = read_all(path)
    assert (account.damaged, len(account.listed)) == (1000, LISTED)


def test_gzipped_logs_are_read_and_torn_ones_up_to_the_tear(tmp_path: Path) -> None:
    texts = [f"line {number}" for number in range(20_000)]
    packed = gzip.compress("".join(f"{text}\n" for text in texts).encode())
    path = tmp_path / "a.log.gz"
    path.write_bytes(packed)
    found, account, passed = read_all(path)
    assert [text for _, text in found] == texts
    assert (account.damaged, passed) == (0, len(packed))
    path.write_bytes(packed[: len(packed) // 2])
    found, account, _ = read_all(path)
    assert 0 < len(found) < len(texts)
    assert "the gzip file is damaged" in account.listed[-1].reason


def test_windows_of_a_global_log() -> None:
    account = Account()
    torn = ["ma, Start time 2020-04-23 01:31:43", "model-3, Start time 2020-04-23 02:00:00"]
    odd = ["ctq, End time 2020-02-30 00:00:00", "never, End time 2020-04-23 05:00:00", "??"]
    found = global_log.parse(lines([*made_up.global_log("cerebro-ctq", 90), *torn, *odd]), account)
    assert [(window.name, window.seconds, window.said_s) for window in found] == [
        ("cerebro-ctq", 90.0, 90.0),
        ("ma", None, None),
    ]
    assert reasons(account) == [
        (6, "no such time"),
        (7, "the end of what was never started"),
        (8, "not a line of global.log"),
    ]


def test_an_experiment_that_was_started_again_comes_twice() -> None:
    again = made_up.global_log("ma", 20, made_up.START.replace(hour=20))
    found = global_log.parse(lines([*made_up.global_log("ma", 10), *again]), Account())
    assert [window.seconds for window in found] == [10.0, 20.0]


def test_the_databases_events_become_components() -> None:
    account = Account()
    texts = [line for segment in (0, 1) for line in made_up.in_database(segment)]
    told = client.parse(lines(["NOTICE:  hello", *texts]), account, "client")
    of, unmapped = components(told.segments.seconds, load().rules["ctq"])
    assert of == {
        "train_valid": 58.0,
        "data_transmission": 6.0,
        "model_transmission": 4.0,
        "approach_specific": 2.0,
    }
    assert not unmapped
    assert told.segments.workers == ("seg0", "seg1")
    assert (account.used, account.damaged) == (48, 0)


def test_pairs_without_a_rule_are_told() -> None:
    texts = [made_up.info("Start", "new thing", 0, 0), made_up.info("End", "new thing", 5, 0)]
    told = client.parse(lines(texts), Account(), "client")
    of, unmapped = components(told.segments.seconds, load().rules["ctq"])
    assert not of
    assert unmapped == {("Start new thing", "End new thing"): 5.0}


def test_damaged_events_are_told() -> None:
    account = Account()
    texts = [
        "INFO:  Start fit_transition trai",
        "Start training-train: 2021-02",
        "INFO:  Start inside fit_transition: 2020-02-30 16:50:01  (seg3 slice1)",
        made_up.info("Start", "inside fit_transition", 10, 0),
        made_up.info("End", "inside fit_transition", 9, 0),
        "TIME: 12, EVENT: TRAIN_LAUN",
        "TIME: 12, EVENT: TRAIN_LAUNCHED, ITERATION: 0, MST: 1",
        "TIME: 12, EVENT: VALID_COMPLETED, WORKER: 1, MST: one, EPOCH: 0",
        "CEREBRO => Time: 2021, Model: model_1, Epoch: 1, val_top_k_categorical_accuracy: 0.5",
        "{'a': [0.1, nope]}",
        "Epoch 1/1 - loss: 3",
    ]
    client.parse(lines(texts), account, "client")
    assert [line for line, _ in reasons(account)] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert reasons(account)[5] == (7, "a scheduler's line without WORKER")


def test_a_schedulers_times() -> None:
    texts = [
        made_up.scheduled(40, "PRELOAD_COMPLETED", 0),
        made_up.scheduled(50, "PRELOAD_COMPLETED", 1),
        made_up.scheduled(52, "TRAIN_LAUNCHED", 0),
        made_up.scheduled(62, "TRAIN_COMPLETED", 0),
        made_up.scheduled(65, "VALID_LAUNCHED", 0),
        made_up.scheduled(70, "VALID_COMPLETED", 0),
    ]
    told = client.parse(lines(texts), Account(), "scheduler")
    of, unmapped = components(told.workers.seconds, load().rules["scheduler"])
    assert told.preloaded_s == 50.0
    assert told.evaluated_s == {(0, 0): 70.0}
    assert of == {"train_valid": 15.0, "approach_specific": 15.0}
    assert not unmapped


def test_what_clients_print_of_results() -> None:
    spark = "CEREBRO => Time: 2021-03-30 05:10:25, Model: model_3, Epoch: 2, loss: 1.0, "
    texts = [
        "{'0_vgg16': [0.25, 0.5], '1_resnet50': [0.5, 0.75]}",
        "ENDING BATCH:0, FINISHED:8: 2021-02-28 10:00:00",
        "LEFT JOBS: 5: 2021-02-28 09:00:00",
        "LEFT JOBS: 0: 2021-02-28 09:30:00",
        f"{spark}val_top_k_categorical_accuracy: 0.75, val_loss: 2.0",
        "{}",
        "{'not': 'measures'}",
    ]
    account = Account()
    told = client.parse(lines(texts), account, "client")
    assert told.batches == [{"0_vgg16": (0.75, 0.5), "1_resnet50": (0.5, 0.25)}]
    assert told.epoch_ends == ["2021-02-28 09:30:00"]
    assert [(one.model, one.epoch, one.error) for one in told.spark] == [(3, 2, 0.25)]
    assert account.damaged == 0


def test_a_literal_as_deep_as_a_line_may_be_is_damage_and_no_crash() -> None:
    account = Account()
    client.parse(lines(["{" + "[" * 100_000 + "]" * 100_000 + "}"]), account, "client")
    assert reasons(account) == [(1, "a dictionary that cannot be read")]


@pytest.mark.parametrize("start", ["Start ", "INFO:  End ", "LEFT JOBS: 0", "MST: ", "EPOCH: "])
def test_a_long_line_of_nothing_takes_no_time(start: str) -> None:
    """Quadratic patterns would take hours for it."""
    text = start + " " * (LONGEST - 20) + "x"
    client.parse(lines([text]), Account(), "client")
    model_log.parse_task(lines([text]), Account())
    model_log.parse(lines([text]), Account())
    global_log.parse(lines([text]), Account())
    sums("disk", [made_up.at(1), text])


def test_models_are_means_over_partitions() -> None:
    account = Account()
    texts = [*made_up.model_log([0.6, 0.4]), "EPOCH: 2, UNIX TIME: 15972", "EPOCH: x, UNIX TIME: 1"]
    found = model_log.parse(lines(texts), account)
    valid = [each for each in found if each.split == "valid"]
    assert [(each.epoch, each.partitions) for each in valid] == [(1, 2), (2, 2)]
    assert [each.top5_error for each in valid] == pytest.approx([0.65, 0.45])
    assert [each.top1_error for each in valid] == pytest.approx([0.85, 0.65])
    assert [each.loss for each in valid] == pytest.approx([1.3, 0.9])
    assert [line for line, _ in reasons(account)] == [10, 11]


def test_a_task_of_hyperopt_spark() -> None:
    history = "HISTORY: {'val_top_k_categorical_accuracy': [0.1, 0.6], 'loss': [3, 2]}"
    texts = [f"MST: {{'lr': 0.1}}: {made_up.at(0)}", f"{history}: {made_up.at(100)}"]
    task = model_log.parse_task(lines(texts), Account())
    assert task is not None
    assert task.errors == pytest.approx((0.9, 0.4))
    account = Account()
    assert model_log.parse_task(lines([texts[0], texts[1][:30]]), account) is None
    assert reasons(account) == [(2, "a task's line that is not whole")]


WINDOW = (made_up.at(0), made_up.at(100))


def sums(kind: str, texts: list[str]) -> tuple[dict[str, samples.Sum], Account]:
    account = Account()
    found = samples.parse(lines(texts), account, kind, [WINDOW])
    return (found[WINDOW].sums if found else {}), account


def test_samples_outside_of_a_window_do_not_count_and_its_end_is_outside() -> None:
    log = made_up.cpu_log({-1: (9, 9), 0: (10, 1), 50: (30, 3), 100: (99, 99)})
    found, account = sums("cpu", log)
    assert found["cpu_pct"].mean == 20.0
    assert found["dram_pct"].mean == 2.0
    assert (found["cpu_pct"].low, found["cpu_pct"].high) == (10.0, 30.0)
    assert account.damaged == 0


def test_every_gpu_of_a_node_is_a_line() -> None:
    found, account = sums(
        "gpu", [made_up.at(1), "10 %, 2 %, 50.00 W", "30 %, 4 %, [Not Supported]"]
    )
    assert (found["gpu_util_pct"].mean, found["gpu_ram_pct"].mean) == (20.0, 3.0)
    assert found["gpu_power_w"].samples == 1
    assert account.damaged == 0


def test_counters_of_a_disk_that_start_anew() -> None:
    found, _ = sums("disk", made_up.disk_log({0: (100, 5), 10: (130, 6), 20: (10, 1), 30: (15, 2)}))
    assert found["read_MB:sda"].grown == 30 + 10 + 5
    assert found["read_MB:sdb"].grown == 450
    assert found["write_MB:sda"].grown == 1 + 1 + 1


def test_both_networks() -> None:
    found, _ = sums("network", made_up.network_log({0: (100, 10), 10: (300, 30)}))
    assert found["received_kBps:experiment"].mean == 200.0
    assert found["sent_kBps:experiment"].mean == 20.0
    assert found["received_kBps:control"].mean == 7.0


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("cpu", "12%,", "not two percentages"),
        ("gpu", "12 %, 3", "not two percentages and a power"),
        ("gpu", "12 %, 3 %, ten W", "not a power"),
        ("disk", "Device tps MB_read/s MB_wrtn/s MB_read MB_wrtn sda 1 2 3", "not six words"),
        ("disk", "sda 1 2 3 4 5", "not the words of iostat"),
        ("network", "eno1: 5", "not the words of sar"),
        ("network", "CONTROL_IFACE: eno1, rxkB/s: 1.0", "without txkB/s"),
        ("network", "CONTROL_IFACE: eno1, rxkB/s: nan, txkB/s: 1.0", "not a number"),
        ("cpu", "2020-08-1", "a time that is not whole"),
    ],
)
def test_damaged_samples_are_told(kind: str, text: str, reason: str) -> None:
    _, account = sums(kind, [made_up.at(1), text])
    assert account.damaged == 1
    assert reason in account.listed[0].reason
    assert account.listed[0].line == 2


def test_values_after_a_damaged_time_belong_to_no_sample() -> None:
    found, account = sums("cpu", [made_up.at(1), "10%,1%", "2020-08-1", "90%,9%"])
    assert found["cpu_pct"].mean == 10.0
    assert reasons(account)[1] == (4, "values without their time")
