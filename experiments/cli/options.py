"""The options of ``reproduce.py`` and what ``--help`` says of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from experiments import __version__
from experiments.errors import SpecError
from experiments.runtime import choice
from experiments.specs import devices
from experiments.specs.load import SCALES, protocols
from experiments.specs.topology import ALL_SEGMENTS, SEGMENTS_TO_USE

EPILOG = """examples:
  python3 reproduce.py --all                        every experiment and figure, laptop scale
  python3 reproduce.py --figure 9b --scale smoke    one figure, in about a minute
  python3 reproduce.py --plan --figure 9b           what would run, and why
  python3 reproduce.py --figure 9a --repeat 3       with intervals over three seeds
  python3 reproduce.py --experiment breakdown --fresh --seed 7
  python3 reproduce.py --test tests/mop -k random   some of the tests
  python3 reproduce.py --figure 9b --device p100 --speedup 100   wait for a P100 instead of training
  python3 reproduce.py --data criteo --scale smoke  click logs from raw archives to partitions
  python3 reproduce.py --gantt breakdown-ctq-smoke  who did what when, in a finished run
  python3 reproduce.py --provision INVENTORY        hosts over SSH become a cluster
  python3 reproduce.py --archive results.tar.gz     all runs and figures in one file
  python3 reproduce.py --verify --scale smoke       every claim of the paper, judged on what has run
  python3 reproduce.py --serve                      the report as a live page, on this machine only
  python3 reproduce.py --readme --scale smoke       put the built figures into README.md
  python3 reproduce.py --clean --yes                remove runs and whatever is left of them

exit codes: 0 done, 1 something ran and failed, 2 you can mend it, 130 interrupted.
A run that was interrupted goes on where it stopped when the same command is given again.
"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}: --help tells what there is")


def parser() -> argparse.ArgumentParser:
    """The parser of ``reproduce.py``."""
    top = _Parser(
        prog="reproduce.py",
        description="Rebuild the figures of 'Distributed Deep Learning on Data Systems' "
        "(PVLDB 14(10), 2021) from real training.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = top.add_argument_group("what to do")
    what.add_argument("--all", action="store_true", help="run what is missing, build every figure")
    what.add_argument("--figure", nargs="+", metavar="ID", help="build these figures or tables")
    what.add_argument("--experiment", nargs="+", metavar="ID", help="run these experiments")
    what.add_argument("--list", action="store_true", help="figures and experiments, their state")
    what.add_argument("--plan", action="store_true", help="what would run and why; runs nothing")
    what.add_argument(
        "--pilot",
        action="store_true",
        help="measure this machine with the models of the figures or experiments named, "
        "for --device this",
    )
    what.add_argument(
        "--gantt",
        metavar="RUN",
        help="draw who did what when in a finished run, and write it as a trace",
    )
    what.add_argument(
        "--data",
        nargs="+",
        metavar="NAME",
        help="read raw downloads (imagenet, criteo) into partitions; below paper scale and without "
        "--source small ones that it generates in the same formats",
    )
    what.add_argument(
        "--provision",
        metavar="INVENTORY",
        help="make the hosts of an inventory of Ansible's a cluster for --runtime cluster; with "
        "--teardown remove that again, with --check only tell what would change",
    )
    what.add_argument(
        "--archive",
        type=Path,
        metavar="FILE",
        help="pack runs and figures with what they were made with (an RO-Crate) into a .tar.gz or "
        ".zip; --with-models also what was trained",
    )
    what.add_argument(
        "--check-archive",
        type=Path,
        metavar="FILE",
        help="check such an archive's files, and draw its figures again from it",
    )
    what.add_argument(
        "--verify",
        action="store_true",
        help="judge every claim of the paper on the finished runs of a scale; with --strict a "
        "contradiction makes the exit code 1",
    )
    what.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("RUN_A", "RUN_B"),
        help="which verdicts two machines differ in: their verdicts.json or folders of artifacts",
    )
    what.add_argument(
        "--from-release-logs",
        type=Path,
        metavar="DIR",
        help="read the raw logs that the original release points to, and rebuild from them the "
        "figures that they give",
    )
    what.add_argument("--doctor", action="store_true", help="check this machine")
    what.add_argument(
        "--test",
        nargs=argparse.REMAINDER,
        metavar="ARG",
        help="lint, types and tests; or pytest ARGs",
    )
    what.add_argument(
        "--benchmark", nargs=argparse.REMAINDER, metavar="NAME", help="run benchmarks/NAME.py"
    )
    what.add_argument(
        "--clean",
        action="store_true",
        help="stop what is left over, remove runs; with --all also figures, data, environments",
    )
    what.add_argument(
        "--readme", action="store_true", help="put the built figures of a scale into README.md"
    )
    what.add_argument(
        "--serve",
        nargs="?",
        type=int,
        const=0,
        metavar="PORT",
        help="the report as a page of this machine's own (127.0.0.1), live while experiments run: "
        "alone until Ctrl-C, with --all, --figure or --experiment while they run",
    )
    how = top.add_argument_group("how")
    how.add_argument("--scale", default="laptop", metavar="|".join(SCALES))
    how.add_argument(
        "--runtime",
        default=os.environ.get(choice.VARIABLE) or choice.AUTO,
        metavar="|".join(choice.RUNTIMES),
        help="auto (the default): in containers where a Docker engine answers, else as processes "
        f"of this machine; ${choice.VARIABLE} is another default",
    )
    how.add_argument(
        "--segments",
        default=ALL_SEGMENTS,
        metavar="|".join(SEGMENTS_TO_USE),
        help="nodes that take part: all, or only those with a GPU",
    )
    how.add_argument("--workers", type=int, metavar="N", help="1 to 8; default by scale: 2, 4, 8")
    how.add_argument("--protocol", default="equal", metavar="|".join(protocols()))
    how.add_argument(
        "--seed", type=int, default=2018, metavar="N", help="default 2018, the paper's"
    )
    how.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="every run with N seeds, from --seed upwards; figures show intervals over them",
    )
    how.add_argument(
        "--policy",
        metavar="NAME",
        help="scheduler of approaches that hop, instead of the experiment's: random, round_robin, "
        "longest_first, matching, or replay:RUN for the visit order of a finished run",
    )
    how.add_argument(
        "--searcher",
        metavar="NAME",
        help="where a search's configurations come from, instead of the experiment's: grid, "
        "random, tpe, asha or hyperband",
    )
    how.add_argument(
        "--device",
        metavar="NAME",
        help="emulate: workers wait as long as this device would take, and learn nothing: "
        f"{', '.join(devices.names())}",
    )
    how.add_argument(
        "--speedup",
        type=float,
        metavar="F",
        help="emulated runs wait for a device that is so many times as fast",
    )
    how.add_argument(
        "--spark-master",
        default="",
        metavar="URL",
        help="run what is on Spark on a cluster that exists: spark://HOST:PORT, yarn or "
        "k8s://HOST:PORT; it must see this checkout and the state folder",
    )
    how.add_argument("--source", metavar="DIR", help="with --data: where the downloads lie")
    how.add_argument(
        "--forms",
        nargs="+",
        default=["arrays"],
        metavar="FORM",
        help="with --data: arrays (what training reads), parquet, spark, copy",
    )
    how.add_argument("--teardown", action="store_true", help="with --provision")
    how.add_argument("--check", action="store_true", help="with --provision")
    how.add_argument(
        "--vault-password-file",
        type=Path,
        metavar="FILE",
        help="with --provision: the password of what ansible-vault encrypted",
    )
    how.add_argument("--with-models", action="store_true", help="with --archive")
    how.add_argument("--fresh", action="store_true", help="forget finished runs and do them again")
    how.add_argument("--strict", action="store_true", help="with --verify")
    how.add_argument("--json", action="store_true", help="answer in JSON")
    how.add_argument("--quiet", action="store_true", help="only errors and results")
    how.add_argument("--yes", action="store_true", help="answer yes to questions")
    top.add_argument("--version", action="version", version=__version__)
    return top
