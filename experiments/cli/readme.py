"""The part of README.md that shows the figures: made from specs and built figures, and checked.

Beside the pictures lies ``index.json``: for each, its own digest, the scale, what its runs were
told to do, and the notebook, the analysis and the paper's values that it was drawn with. So a
picture that no longer fits is told from one that does, without a run.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.analysis.names import FigureFiles
from experiments.analysis.notebooks import Parameters, fingerprint, why_stale
from experiments.errors import DataError, SpecError
from experiments.files import write_atomically
from experiments.paths import PICTURES, README, Artifacts
from experiments.runner.plan import plan
from experiments.specs.devices import THIS
from experiments.specs.load import (
    SCALES,
    FigureRow,
    approaches,
    approaches_of,
    experiments,
    figures,
)
from experiments.specs.model import RunSpec

FIGURES = "figures"
"""The section's name, in the marks around it."""
WIDTH = 1600
LOOKS = ((WIDTH, 256), (WIDTH, 64), (WIDTH, 32), (1200, 32))
"""Width and colours of a picture: less where it would be too large, as text is."""
MOST_BYTES = 200_000


def rewrite(scale: str, readme: Path = README, pictures: Path = PICTURES) -> list[Path]:
    """Copy the built figures of a scale into ``pictures`` and rewrite the README's section.

    Returns
    -------
    The files written.

    Raises
    ------
    SpecError
        A figure is not built at this scale, or not from what there is now; nothing is written.
    DataError
        The README has no section for the figures.
    """
    index = {row.id: _origin(row, scale) for row in figures().values()}
    small = {row.id: _small(_built(row, scale).png) for row in figures().values()}
    for name, picture in small.items():
        index[name]["picture"] = _digest(picture)
    text = with_section(readme, FIGURES, section(index))
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for name, picture in small.items():
        write_atomically(pictures / f"{name}.png", picture)
    write_atomically(_index(pictures), json.dumps(index, indent=1) + "\n")
    write_atomically(readme, text)
    return [*(pictures / f"{name}.png" for name in small), _index(pictures), readme]


def problems(readme: Path = README, pictures: Path = PICTURES) -> Iterator[str]:
    """What does not fit the specs, notebooks and pictures there are now, one line each."""
    try:
        index: dict[str, dict[str, Any]] = json.loads(_index(pictures).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"{_index(pictures)}: cannot be read ({error})"
        return
    for row in figures().values():
        said = index.get(row.id, {})
        path = pictures / f"{row.id}.png"
        if not path.exists():
            yield f"{path}: missing"
            continue
        if path.stat().st_size > MOST_BYTES:
            yield f"{path}: {path.stat().st_size} bytes are more than {MOST_BYTES}"
        if _digest(path.read_bytes()) != said.get("picture"):
            yield f"{path}: is not the picture that was made"
        for part, now in _made_of(row, str(said.get("scale"))).items():
            if now != said.get(part):
                yield f"{path}: made with other {part} than there are now"
    for path in pictures.glob("*.png"):
        if path.stem not in figures():
            yield f"{path}: there is no such figure"
    if readme.read_text(encoding="utf-8") != with_section(readme, FIGURES, section(index)):
        yield f"{readme}: its figures section is not what the specs say"


def section(index: Mapping[str, Mapping[str, Any]]) -> str:
    """The README's section: a table of the figures, and the pictures."""
    lines = ["| id | in the paper | experiments | approaches here |", "|---|---|---|---|"]
    for row in figures().values():
        experiments = ", ".join(f"`{name}`" for name in row.experiments)
        names = _names(_taking_part(row))
        lines.append(f"| `{row.id}` | {row.place}: {row.title} | {experiments} | {names} |")
    for row in figures().values():
        scale = index.get(row.id, {}).get("scale", "no")
        lines += ["", f"![{row.place}: {row.title}, {scale} scale](docs/figures/{row.id}.png)"]
    return "\n".join(lines) + "\n"


def marked(name: str) -> re.Pattern[str]:
    """What stands between the marks of a section that is made."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*(?=<!-- /{name} -->)", re.DOTALL)


def with_section(page: Path, name: str, text: str, before: str | None = None) -> str:
    """A page's text with this between the marks of one of its sections.

    Parameters
    ----------
    before : the page's text, if not what the file has.

    Raises
    ------
    DataError
        The page does not have that section, or twice.
    """
    before = page.read_text(encoding="utf-8") if before is None else before
    section = marked(name)
    if len(section.findall(before)) != 1:
        raise DataError(f"{page}: has no section from <!-- {name} --> to <!-- /{name} -->")
    return section.sub(lambda _: text, before)


def _origin(row: FigureRow, scale: str) -> dict[str, Any]:
    """Where a built figure comes from; refuses one that does not fit what there is now."""
    mend = f"give --figure {row.id} --scale {scale} first"
    sidecar = _built(row, scale).sidecar
    try:
        runs = list(json.loads(sidecar.read_text(encoding="utf-8"))["fingerprint"]["runs"])
    except FileNotFoundError:
        raise SpecError(f"figure {row.id} is not built at {scale} scale: {mend}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise SpecError(f"{sidecar} is damaged: {mend}") from None
    if {*runs} != {run.name for run in plan(row.experiments, scale)}:
        stale: str | None = "made of other runs than would be made now"
    else:
        folders = tuple(Artifacts().run(name).root for name in runs)
        stale = why_stale(row.id, Parameters(scale, folders))
    if stale:
        raise SpecError(f"figure {row.id} at {scale} scale: {stale}; {mend}")
    return {"scale": scale, **_made_of(row, scale)}


def _made_of(row: FigureRow, scale: str) -> dict[str, Any]:
    """Digests of what a figure is made of, by what a reader calls it; nothing for no such scale."""
    if scale not in SCALES:
        return {}
    drawn = fingerprint(row.id, Parameters("", ()))
    tables = {name: experiments()[name].table[scale] for name in row.experiments}
    here = [name for name, table in tables.items() if table.get("device") == THIS]
    planned = plan([name for name in row.experiments if name not in here], scale)
    specs: list[Mapping[str, Any]] = [_settled(run.spec).to_json() for run in planned]
    specs += [tables[name] for name in here]  # what this machine measured of itself is its own
    return {
        "experiments or approaches": _digest(json.dumps(specs, sort_keys=True).encode()),
        "notebook": drawn["notebook"],
        "analysis": drawn["analysis"],
        "values of the paper": drawn["paper's values"],
    }


def _settled(spec: RunSpec) -> RunSpec:
    """A run's spec without the name of the run that its search follows, which tells of code."""
    if spec.search is None:
        return spec
    return replace(spec, search=replace(spec.search, follows=None))


def _built(row: FigureRow, scale: str) -> FigureFiles:
    return Parameters(scale, ()).files(row.id)


def _taking_part(row: FigureRow) -> list[str]:
    """Ids of the approaches that a figure shows, in the order of every figure."""
    known = {each.id for name in row.experiments for each in approaches_of(name)}
    return [name for name in approaches() if name in known]


def _names(ids: list[str]) -> str:
    return ", ".join(approaches()[name].title for name in ids)


def _small(path: Path) -> bytes:
    """A figure as a picture for the web; the same bytes for the same figure."""
    with Image.open(path) as image:
        whole = image.convert("RGB")
    for width, colours in LOOKS:
        picture = whole.copy()
        picture.thumbnail((width, 2 * width), Image.Resampling.LANCZOS)
        # Other methods merge rare colours, and a bar would no longer have its legend's.
        few = picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        out = io.BytesIO()
        few.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    return out.getvalue()


def _index(pictures: Path) -> Path:
    return pictures / "index.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
