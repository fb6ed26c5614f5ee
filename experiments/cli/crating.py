"""The research-object crate at the end of ``--all``, ``--archive`` and ``--check-archive``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from experiments import __version__
from experiments.errors import ReproduceError, SpecError
from experiments.paths import Artifacts
from experiments.report import archive, crate, crate_check, crate_files, rebuild
from experiments.runtime.image_names import revision

Say = Callable[[str], None]


def write_crate(*, models: bool = False) -> str:
    """Write and validate the crate of ``artifacts/``; a line that says so.

    Raises
    ------
    ReproduceError
        It is not a valid RO-Crate.
    """
    artifacts = Artifacts()
    count = crate.write(crate.Software(__version__, revision()), artifacts, models=models)
    problems = crate_check.invalid(artifacts.root)
    if problems:
        raise ReproduceError(f"{artifacts.crate}: not a valid RO-Crate: {'; '.join(problems)}")
    return f"{artifacts.crate}: RO-Crate 1.1 of {count} files, valid"


def pack(target: Path, *, models: bool, overwrite: bool) -> str:
    """``--archive FILE``: the crate as one file.

    Raises
    ------
    SpecError
        There is no finished run, or the file is there already.
    """
    artifacts = Artifacts()
    if not crate_files.finished(artifacts):
        raise SpecError(
            f"--archive {target}: {artifacts.runs} has no finished run; give --all first"
        )
    write_crate(models=models)
    count = archive.pack(artifacts.root, target, overwrite=overwrite)
    return f"{target}: {count} files, {target.stat().st_size / 2**20:.1f} MiB"


def check(path: Path, say: Say) -> int:
    """``--check-archive FILE``: every file, the crate, and every figure drawn again.

    Returns
    -------
    0 if all is as it was when it was packed, else 1.
    """
    with tempfile.TemporaryDirectory(prefix="cerebro-ds-archive-") as folder:
        inside, again = Path(folder) / "crate", Path(folder) / "rebuilt"
        inside.mkdir()
        try:
            count = archive.unpack(path, inside)
        except archive.Damaged as error:
            say(f"files     damaged   {error}")
            return 1
        problems = [*crate_check.damaged(inside), *_undescribed(inside)]
        _line(say, "files", f"{count} files", problems)
        invalid = crate_check.invalid(inside)
        _line(say, "crate", "RO-Crate 1.1", invalid)
        made, ours = crate_check.revision(inside), revision()
        if made != ours:
            say(f"revision  the archive was made by {made or 'none'}, this bundle is {ours}")
        figures = list(rebuild.rebuild(inside, again)) if not problems else []
        for each in figures:
            label = f"figure    {each.figure} ({each.scale})"
            say(f"{label}: {'the same numbers' if each.problem is None else each.problem}")
        wrong = sum(each.problem is not None for each in figures)
        if problems:
            say("figures   not drawn again, since files are damaged")
        else:
            say(f"figures   {len(figures) - wrong} of {len(figures)} have the same numbers")
        return 1 if problems or invalid or wrong else 0


def _undescribed(root: Path) -> list[str]:
    known = {*crate_check.described_files(root), crate_check.METADATA}
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [f"{name}: the crate does not describe it" for name in sorted({*found} - known)]


def _line(say: Say, what: str, good: str, problems: list[str]) -> None:
    if not problems:
        say(f"{what:<9} good      {good}")
    for problem in problems:
        say(f"{what:<9} damaged   {problem}")
