"""The command line: what was asked for, and which function answers. No logic of its own."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.cli.options import parser
from experiments.errors import NoImages, ReproduceError, SpecError, UserError
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
from experiments.specs.topology import SEGMENTS_TO_USE

if TYPE_CHECKING:
    from experiments.runner.plan import PlannedRun
    from experiments.specs.model import RunSpec

MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""What the user can mend about a file: its disk's space, its permissions."""

SEEDS = 2**31
"""Seeds are below this and not negative: Python's generator takes -7 for 7."""
MOST_REPEATS = 100
PORTS = 2**16


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
        (options.archive, _archive),
        (options.check_archive, _check_archive),
        (options.from_release_logs is not None, _from_release_logs),
        (options.readme, _readme),
        (options.verify, _verify),
        (options.compare, _compare),
        (options.gantt, _gantt),
        (options.clean, _clean),
        (options.list, _list),
        (options.plan, _plan),
        (options.all or options.figure or options.experiment, _reproduce),
    )
    wanted = [command for wanted, command in chosen if wanted]
    if options.serve is not None and wanted != [_reproduce]:
        wanted.append(_serve)
    together = wanted[:1] in ([_clean], [_list], [_plan], [_pilot]) and wanted[1:] == [_reproduce]
    if len(wanted) > 1 and not together:
        raise SpecError("one command at a time: see --help")
    if not options.provision:
        for given in ("teardown", "check", "vault_password_file"):
            if getattr(options, given):
                raise SpecError(f"--{given.replace('_', '-')} goes with --provision INVENTORY")
    if options.with_models and not options.archive:
        raise SpecError("--with-models goes with --archive FILE")
    if options.strict and not options.verify:
        raise SpecError("--strict goes with --verify")
    if options.clean and (options.figure or options.experiment):
        raise SpecError(
            "--clean removes all runs: leave out --figure and --experiment, or use --fresh instead"
        )
    return wanted[0] if wanted else None


def _reproduce(options: argparse.Namespace) -> int:
    from experiments.cli.reproduce import reproduce

    may_do_without = options.runtime == choice.AUTO
    _check(options)
    wanted, drawn = _wanted(options)
    _measure_first(options, wanted)
    try:
        return reproduce(_plan_runs(options, wanted), drawn, options)
    except NoImages as fault:
        if not may_do_without:
            raise
        if not options.quiet:
            print(f"{choice.WITHOUT_CONTAINERS}: {fault}", file=sys.stderr)
        options.runtime = choice.LOCAL
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
    from experiments.runner.estimate import predict
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
    print(render_plan(runs, absent, predict(runs), as_json=options.json))
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
    from experiments.cli.predicting import short_runs

    short_runs(_plan_runs(options, wanted), options)
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


def _archive(options: argparse.Namespace) -> int:
    from experiments.cli.crating import pack

    print(pack(options.archive, models=options.with_models, overwrite=options.yes))
    return 0


def _check_archive(options: argparse.Namespace) -> int:
    from experiments.cli.crating import check

    return check(options.check_archive, print)


def _readme(options: argparse.Namespace) -> int:
    from experiments.cli import appendix
    from experiments.cli.readme import rewrite

    _check(options)
    for path in [*rewrite(options.scale), *appendix.rewrite(options.scale, options.runtime)]:
        print(path)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from experiments.cli.verify import verify

    _check(options)

    def plan(wanted: Sequence[str], protocol: str) -> list[PlannedRun]:
        return _plan_runs(argparse.Namespace(**{**vars(options), "protocol": protocol}), wanted)

    return verify(plan, options)


def _compare(options: argparse.Namespace) -> int:
    from experiments.cli.verify import compare

    first, second = options.compare
    return compare(first, second, as_json=options.json)


def _serve(options: argparse.Namespace) -> int:
    from experiments.cli.serving import serve

    _check(options)
    serve(options.scale, options.serve)
    return 0


def _from_release_logs(options: argparse.Namespace) -> int:
    from experiments.cli.release_logs import from_release_logs

    print(from_release_logs(options.from_release_logs, quiet=options.quiet, as_json=options.json))
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
    if options.serve is not None and not 0 <= options.serve < PORTS:
        raise SpecError(f"--serve {options.serve}: a port is from 1 to {PORTS - 1}")
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
