"""README.md shows the figures there are; what does not fit any more is told."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from experiments.analysis import notebooks
from experiments.cli import readme
from experiments.cli.main import main
from experiments.errors import SpecError
from experiments.paths import CHECKOUT, PICTURES, README, Artifacts, RunFolder, state
from experiments.runner.plan import plan
from experiments.specs import devices
from experiments.specs.load import figures
from tests.analysis.synthetic_runs import STANDALONE_S, typical, write_run


def test_the_readme_shows_the_figures_there_are() -> None:
    """If this fails: build the figures of one scale, then ``reproduce.py --readme --scale …``."""
    assert list(readme.problems()) == []


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(readme.marked(readme.FIGURES).sub("", text).splitlines()) <= 110
    for word in text.replace("`", " ").replace("(", " ").replace(")", " ").split():
        if word.startswith(("docs/", "artifacts/reference/")):
            assert (CHECKOUT / word.rstrip(".,:")).exists(), word


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """README and pictures, to be spoilt."""
    shutil.copytree(PICTURES, tmp_path / "figures")
    shutil.copy(README, tmp_path)
    return tmp_path


def told(copy: Path) -> str:
    return "\n".join(readme.problems(copy / README.name, copy / "figures"))


def edit_index(copy: Path, key: str, value: object) -> None:
    index = copy / "figures" / "index.json"
    said = json.loads(index.read_text())
    said["9b"][key] = value
    index.write_text(json.dumps(said))


def grow(copy: Path) -> None:
    noise = Image.effect_noise((600, 600), 90)
    noise.save(copy / "figures" / "9b.png")


def retouch(copy: Path) -> None:
    with (copy / "figures" / "9b.png").open("ab") as picture:
        picture.write(b" ")


def reword(copy: Path) -> None:
    text = (copy / README.name).read_text()
    (copy / README.name).write_text(text.replace("| `9b` |", "| `9b`, the best |"))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda copy: (copy / "figures" / "9b.png").unlink(), "9b.png: missing"),
        (lambda copy: (copy / "figures" / "index.json").unlink(), "index.json: cannot be read"),
        (lambda copy: (copy / "figures" / "8z.png").touch(), "8z.png: there is no such figure"),
        (lambda copy: edit_index(copy, "notebook", "0"), "9b.png: made with other notebook than"),
        (lambda copy: edit_index(copy, "analysis", "0"), "9b.png: made with other analysis than"),
        (lambda copy: edit_index(copy, "scale", "laptop"), "made with other experiments or appro"),
        (retouch, "9b.png: is not the picture that was made"),
        (grow, "bytes are more than 200000"),
        (reword, "README.md: its figures section is not what the specs say"),
    ],
)
def test_what_does_not_fit_is_told(
    copy: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    assert complaint not in told(copy)
    spoil(copy)
    assert complaint in told(copy)


def built(scale: str, drop: str = "") -> None:
    """Figures of a scale as their notebooks would leave them, from made-up runs."""
    for row in figures().values():
        folders = []
        for run in plan(row.experiments, scale):
            if run.spec.approach == drop:
                continue
            if not run.folder.root.exists():
                write_run(run.folder.root, run.spec, typical(run.spec, STANDALONE_S))
            folders.append(run.folder.root)
        parameters = notebooks.Parameters(scale, tuple(folders))
        files = parameters.files(row.id)
        files.folder.mkdir(parents=True, exist_ok=True)
        drawn = io.BytesIO()
        Image.new("RGB", (2400, 1460), "navy").save(drawn, "PNG")
        for path in files.outputs:
            path.write_bytes(drawn.getvalue())
        said = {
            "fingerprint": notebooks.fingerprint(row.id, parameters),
            "outputs": {path.name: notebooks._hash([path]) for path in files.outputs},
        }
        files.sidecar.write_text(json.dumps(said))


def test_a_small_picture_keeps_its_colours(tmp_path: Path) -> None:
    drawn = Image.radial_gradient("L").resize((2400, 1460)).convert("RGB")
    patches = {(300, 300): (0, 158, 115), (900, 700): (213, 94, 0), (2000, 1200): (204, 121, 167)}
    for (x, y), colour in patches.items():
        drawn.paste(colour, (x, y, x + 30, y + 30))
    drawn.save(tmp_path / "drawn.png")
    with Image.open(io.BytesIO(readme._small(tmp_path / "drawn.png"))) as small:
        seen = small.convert("RGB")
    for (x, y), colour in patches.items():
        found = seen.getpixel(((x + 15) * 2 // 3, (y + 15) * 2 // 3))
        assert isinstance(found, tuple)
        assert all(abs(one - other) <= 8 for one, other in zip(found, colour, strict=True))


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Room for runs, on a machine that has been measured."""
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("CEREBRO_DS_HOME", str(tmp_path))
    row = asdict(devices.device("p100").rows["resnet50"])
    found = {
        "title": "here",
        "memory_bytes": 2**40,
        "network_bytes_per_second": 1e9,
        "models": {"fashion-mnist": {"resnet-tiny": row}},
    }
    state().pilot.write_text(json.dumps(found))
    return tmp_path / "artifacts"


def test_built_figures_are_copied_small_and_nothing_else_stays(copy: Path, artifacts: Path) -> None:
    (copy / "figures" / "8z.png").touch()
    built("smoke")
    where = copy / README.name, copy / "figures"
    readme.rewrite("smoke", *where)
    assert told(copy) == ""
    with Image.open(copy / "figures" / "9b.png") as picture:
        assert picture.width == readme.WIDTH
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    readme.rewrite("smoke", *where)
    assert {path: path.read_bytes() for path in before} == before


def test_figures_that_are_not_built_or_stale_are_refused_and_nothing_is_written(
    copy: Path, artifacts: Path
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    where = copy / README.name, copy / "figures"
    with pytest.raises(SpecError, match=r"not built at smoke scale: give --figure 9\w --scale sm"):
        readme.rewrite("smoke", *where)
    built("smoke", drop="ma")
    with pytest.raises(SpecError, match="made of other runs than would be made now"):
        readme.rewrite("smoke", *where)
    built("smoke")
    for folder in Artifacts().runs.iterdir():
        with RunFolder(folder).journal.open("ab") as journal:
            journal.write(b"\n")
    with pytest.raises(SpecError, match="changed: runs"):
        readme.rewrite("smoke", *where)
    assert {path: path.read_bytes() for path in before} == before


def test_the_command_is_refused_where_nothing_is_built(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--readme", "--scale", "smoke"]) == 2
    assert "is not built at smoke scale" in capsys.readouterr().err
