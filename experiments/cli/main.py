"""The command line: what was asked for, and which function answers. No logic of its own."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from experiments import __version__
from experiments.errors import ReproduceError, SpecError, UserError
from experiments.runtime import choice
from experiments.specs import devices
from experiments.specs.load import (
    SCALES,
    LeftOut,
    approaches_of,
    experiments,
    figures,
    left_out,
    nearest,
    protocols,
    run_spec,
)
from experiments.specs.spark import check_address
from experiments.specs.topology import ALL_SEGMENTS, SEGMENTS_TO_USE

if TYPE_CHECKING:
    from experiments.runner.plan import PlannedRun
    from experiments.specs.model import RunSpec

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
  python3 reproduce.py --readme --scale smoke       put the built figures into README.md
  python3 reproduce.py --clean --yes                remove runs and whatever is left of them

exit codes: 0 done, 1 something ran and failed, 2 you can mend it, 130 interrupted.
A run that was interrupted goes on where it stopped when the same command is given again.
"""

MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""What the user can mend about a file: its disk's space, its permissions."""

SEEDS = 2**31
"""Seeds are below this and not negative: Python's generator takes -7 for 7."""
MOST_REPEATS = 100


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
    how.add_argument("--fresh", action="store_true", help="forget finished runs and do them again")
    how.add_argument("--json", action="store_true", help="answer in JSON")
    how.add_argument("--quiet", action="store_true", help="only errors and results")
    how.add_argument("--yes", action="store_true", help="answer yes to questions")
    top.add_argument("--version", action="version", version=__version__)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run a command line; the exit code."""
    top = parser()

    def run() -> int:
        options = top.parse_args(arguments)
        command = _command(options)
        if command is None:
            top.print_help()
            return 2
        return command(options)

    return reported(run)


def reported(run: Callable[[], int]) -> int:
    """The exit code of a command; user errors are one line on stderr and 2.

    What failed is told as well as it is known: with the end of the log that says more.
    """
    try:
        return run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ReproduceError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _command(options: argparse.Namespace) -> Callable[[argparse.Namespace], int] | None:
    chosen = (
        (options.test is not None, _test),
        (options.benchmark is not None, _benchmark),
        (options.doctor, _doctor),
        (options.pilot, _pilot),
        (options.data, _data),
        (options.provision, _provision),
        (options.readme, _readme),
        (options.gantt, _gantt),
        (options.clean, _clean),
        (options.list, _list),
        (options.plan, _plan),
        (options.all or options.figure or options.experiment, _reproduce),
    )
    wanted = [command for wanted, command in chosen if wanted]
    together = wanted[:1] in ([_clean], [_list], [_plan], [_pilot]) and wanted[1:] == [_reproduce]
    if len(wanted) > 1 and not together:
        raise SpecError("one command at a time: see --help")
    if not options.provision:
        for given in ("teardown", "check", "vault_password_file"):
            if getattr(options, given):
                raise SpecError(f"--{given.replace('_', '-')} goes with --provision INVENTORY")
    if options.clean and (options.figure or options.experiment):
        raise SpecError(
            "--clean removes all runs: leave out --figure and --experiment, or use --fresh instead"
        )
    return wanted[0] if wanted else None


def _reproduce(options: argparse.Namespace) -> int:
    from experiments.cli.reproduce import reproduce

    _check(options)
    wanted, drawn = _wanted(options)
    _measure_first(options, wanted)
    return reproduce(_plan_runs(options, wanted), drawn, options)


def _measure_first(options: argparse.Namespace, wanted: Sequence[str]) -> None:
    """The pilot of what is to wait for this machine by its own table, where there is none yet."""
    from experiments.runner import pilot

    missing = _not_measured(options, wanted)
    if missing:
        if not options.quiet:
            names = ", ".join(spec.experiment for spec in missing)
            print(f"measuring this machine, which {names} waits for", file=sys.stderr)
        pilot.measure(missing)


def _not_measured(options: argparse.Namespace, wanted: Sequence[str]) -> list[RunSpec]:
    """Runs of experiments that would wait for this machine, if it had been measured."""
    from experiments.runner import pilot

    tables = {name: experiments()[name].table[options.scale] for name in wanted}
    own = [name for name, table in tables.items() if table.get("device") == devices.THIS]
    return [] if options.device else pilot.missing(_trained_here(options, own))


def _trained_here(options: argparse.Namespace, names: Sequence[str]) -> list[RunSpec]:
    """A run of each experiment, as it trains for real."""
    return [
        run_spec(
            name,
            approaches_of(name)[0].id,
            options.scale,
            workers=options.workers,
            emulated=False,
        )
        for name in names
    ]


def _plan(options: argparse.Namespace) -> int:
    from experiments.cli.listing import render_plan
    from experiments.runner.plan import unable

    _check(options)
    wanted, _ = _wanted(options)
    absent = [each for name in wanted for each in left_out(name, options.scale)]
    how = options.scale, options.protocol, options.device
    absent += [each for name in wanted for each in unable(name, *how)]
    later = [spec.experiment for spec in _not_measured(options, wanted)]
    absent += [
        LeftOut(row.id, name, options.scale, "not named yet: this machine will be measured first")
        for name in later
        for row in approaches_of(name, options.scale)
    ]
    runs = _plan_runs(options, [name for name in wanted if name not in later])
    print(render_plan(runs, absent, as_json=options.json))
    return 0


def _list(options: argparse.Namespace) -> int:
    from experiments.cli.listing import render_list

    _check(options)
    _wanted(options)
    print(render_list(options.scale, partial(_plan_runs, options), options.json))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from experiments.cli import doctor

    checks = doctor.checks()
    print(doctor.render(checks, as_json=options.json))
    return doctor.exit_code(checks)


def _pilot(options: argparse.Namespace) -> int:
    from experiments.runner import pilot

    _check(options)
    if options.device not in {None, devices.THIS}:
        raise SpecError(f"--pilot measures this machine: leave out --device {options.device}")
    wanted, _ = _wanted(options)
    print(pilot.measure(_trained_here(options, wanted)))
    return 0


def _data(options: argparse.Namespace) -> int:
    from experiments.cli.data import make_data

    _check(options)
    make_data(options)
    return 0


def _provision(options: argparse.Namespace) -> int:
    from experiments.cli.provision import Request, provision

    return provision(
        Request(
            options.provision,
            teardown=options.teardown,
            check=options.check,
            vault=options.vault_password_file,
            quiet=options.quiet,
            ask=not options.yes,
        )
    )


def _test(options: argparse.Namespace) -> int:
    from experiments.cli.testing import test

    return test(options.test)


def _benchmark(options: argparse.Namespace) -> int:
    from experiments.cli.testing import benchmark

    return benchmark(options.benchmark)


def _readme(options: argparse.Namespace) -> int:
    from experiments.cli.readme import rewrite

    _check(options)
    for path in rewrite(options.scale):
        print(path)
    return 0


def _gantt(options: argparse.Namespace) -> int:
    from experiments.cli.gantt import gantt

    for path in gantt(options.gantt):
        print(path)
    return 0


def _clean(options: argparse.Namespace) -> int:
    from experiments.cli.cleaning import clean

    return clean(everything=options.all, ask=not options.yes)


def _plan_runs(options: argparse.Namespace, wanted: Sequence[str]) -> list[PlannedRun]:
    from experiments.runner.plan import plan

    return plan(
        wanted,
        options.scale,
        protocol=options.protocol,
        workers=options.workers,
        seed=options.seed,
        policy=options.policy,
        searcher=options.searcher,
        device=options.device,
        speedup=options.speedup,
        repeat=options.repeat,
        fresh=options.fresh,
        spark_master=options.spark_master,
        runtime=options.runtime,
    )


def _wanted(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Experiments to run and figures to build."""
    from experiments.runner.plan import experiments_for

    named = [name.lower() for name in options.figure or ()]
    experiments_for(named)
    known = figures()
    learned = [name for name in named if known[name].learning]
    if options.device and learned:
        raise SpecError(
            f"--figure {learned[0]} shows what models learned, and on an emulated device they "
            "learn nothing: leave out --device"
        )
    for name in options.experiment or ():
        if name not in experiments():
            raise nearest("experiment", name, experiments())
    if options.all or not (options.figure or options.experiment):
        return list(experiments()), [
            row.id for row in known.values() if not (options.device and row.learning)
        ]
    asked = {*(options.experiment or ())}
    drawn = [
        row.id
        for row in known.values()
        if (row.id in named or (row.experiments and {*row.experiments} <= asked))
        and not (options.device and row.learning)
    ]
    wanted = list(dict.fromkeys([*experiments_for(drawn), *(options.experiment or ())]))
    return wanted, drawn


def _check(options: argparse.Namespace) -> None:
    for kind, value, known in (
        ("scale", options.scale, SCALES),
        ("runtime", options.runtime, choice.RUNTIMES),
        ("protocol", options.protocol, protocols()),
        ("segments", options.segments, SEGMENTS_TO_USE),
    ):
        if value not in known:
            raise nearest(kind, value, known)
    check_address(options.spark_master)
    if not 1 <= options.repeat <= MOST_REPEATS:
        raise SpecError(f"--repeat {options.repeat}: 1 to {MOST_REPEATS}")
    if not 0 <= options.seed <= SEEDS - options.repeat:
        raise SpecError(f"--seed {options.seed}: 0 to {SEEDS - options.repeat}")
    silent = options.quiet or not (options.all or options.figure or options.experiment)
    options.runtime = choice.choose(
        options.runtime,
        say=lambda line: None if silent else print(line, file=sys.stderr),
        spark_master=options.spark_master,
    )
