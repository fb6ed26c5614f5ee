#!/usr/bin/env python3
"""Reproduce "Distributed Deep Learning on Data Systems" (PVLDB 14(10), 2021).

usage: python3 reproduce.py COMMAND [MODIFIER ...]

commands
  --all                  run what is missing of everything, rebuild every figure and table
  --figure ID ...        the same for some figures or tables, for example --figure 9b
  --experiment ID ...    the same for some experiments
  --list                 figures, tables and experiments, their state and last duration
  --plan                 what would run, why, and in what order
  --doctor               what this machine has and lacks, each with how to mend it
  --test                 the tests
  --benchmark NAME       one of benchmarks/
  --serve [PORT]         the report as a live page on this machine; also beside --all, --figure
  --readme               put the built figures of a scale into README.md
  --provision INVENTORY  machines over SSH become a cluster; --teardown takes it away
  --clean [--all]        stop what is left over and remove run folders (asks first; --yes)

modifiers
  --scale smoke|laptop|paper         how large (default: laptop)
  --runtime auto|local|docker|cluster
                                     auto: containers where a Docker engine answers, else processes
  --workers N                        2 at smoke, 4 at laptop, 8 at paper scale unless given
  --protocol equal                   the same evaluation for all
  --policy NAME                      another scheduler for approaches that hop
  --spark-master URL                 a Spark cluster that exists, instead of one for each run
  --seed N   --repeat N   --fresh   --json   --quiet

The first command sets up the environment (some minutes, 8 GB, once; later starts need no network)
in $CEREBRO_DS_HOME, or else /var/lib/cerebro-ds for root, ~/.cache/cerebro-ds for others. The first
run of Cerebro-Spark adds another for the published package (2 GB).
Exit codes: 0 done, 1 something ran and failed, 2 you can mend it, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
sys.path.insert(0, str(CHECKOUT))

from experiments.cli import environment, machine  # noqa: E402
from experiments.errors import EnvironmentFault, UserError  # noqa: E402
from experiments.paths import STATE_VARIABLE  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Make sure that the environment stands, then become its ``python -m experiments``."""
    if sys.platform == "win32":
        raise EnvironmentFault(f"this is Windows: {machine.ELSEWHERE}")
    os.umask(0o022)
    home = environment.standard()
    help_wanted = not arguments or not {"-h", "--help"}.isdisjoint(arguments)
    doctor_wanted = "--doctor" in arguments
    if not (help_wanted or doctor_wanted) and not (home.stands() and machine.packages_seen()):
        from experiments.cli import setup

        setup.set_up(home, setup.Progress("--quiet" in arguments))
    if home.stands():
        env = environment.own_settings()
        env.update({"PYTHONPATH": str(CHECKOUT), STATE_VARIABLE: str(home.state)})
        command = [str(home.python), "-P", "-m", "experiments", *arguments]
        os.execve(command[0], command, env)
    if doctor_wanted:
        from experiments.cli import doctor

        checks = doctor.checks()
        print(doctor.render(checks, as_json="--json" in arguments))
        return doctor.exit_code(checks)
    print(__doc__)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (UserError, OSError) as error:
        print(f"reproduce.py: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nreproduce.py: interrupted; the next start goes on", file=sys.stderr)
        sys.exit(130)
