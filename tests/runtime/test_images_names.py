"""What our images are called: a name changes with what goes into the image, and only with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.paths import CHECKOUT, NOTEBOOKS
from experiments.runtime import image_names as names
from experiments.runtime.roles import ROLES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout: one module, the locks, the Dockerfiles."""
    root = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "images", root / "images")
    write(root, "experiments/__init__.py", "")
    write(root, "experiments/warehouse/extension/madlib.sql", "select 1;")
    write(root, "papermill_notebooks/fig.ipynb", "{}")
    write(root, "artifacts/reference/paper.json", "{}")
    write(root, "LICENSE", "")
    return root


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def changed(checkout: Path, tmp_path: Path, name: str) -> tuple[bool, bool]:
    """Do base's name and the revision change with a file of the checkout?"""
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    write(other, name, "changed")
    before = names.base_digest(checkout), names.revision(checkout)
    after = names.base_digest(other), names.revision(other)
    return before[0] != after[0], before[1] != after[1]


@pytest.mark.parametrize(
    ("name", "base", "revision"),
    [
        ("experiments/__init__.py", False, True),
        ("experiments/new.py", False, True),
        ("experiments/warehouse/extension/madlib.sql", False, True),
        ("papermill_notebooks/fig.ipynb", False, True),
        ("artifacts/reference/paper.json", False, True),
        ("images/worker/Dockerfile", False, True),
        ("images/locks/cerebro-dl.txt", False, True),
        ("images/locks/main.txt", True, True),
        ("images/locks/torch-cuda.txt", True, True),
        ("images/base/Dockerfile", True, True),
        ("README.md", False, False),
        ("tests/test_new.py", False, False),
        ("artifacts/runs/one/journal.jsonl", False, False),
        ("experiments/__pycache__/new.cpython-311.pyc", False, False),
        ("experiments/.new.py.swp", False, False),
        ("images/lock.py", False, False),
    ],
)
def test_a_name_changes_with_what_goes_in(
    checkout: Path, tmp_path: Path, name: str, base: bool, revision: bool
) -> None:
    assert changed(checkout, tmp_path, name) == (base, revision)


def test_the_build_of_torch_is_part_of_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.TORCH_VARIABLE, "cpu")
    cpu = {names.reference(image) for image in names.IMAGES}
    monkeypatch.setenv(names.TORCH_VARIABLE, "cuda")
    assert cpu.isdisjoint(names.reference(image) for image in names.IMAGES)
    monkeypatch.setenv(names.TORCH_VARIABLE, "gpu")
    with pytest.raises(SpecError, match="CEREBRO_DS_TORCH=gpu: set it to cpu or cuda"):
        names.revision()


def test_where_a_driver_is_torch_is_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(names.TORCH_VARIABLE, raising=False)
    monkeypatch.setattr(names, "NVIDIA", tmp_path / "nvidiactl")
    assert names.torch_build() == "cpu"
    (tmp_path / "nvidiactl").touch()
    assert names.torch_build() == "cuda"


def test_what_is_read_stays_what_it_was(checkout: Path) -> None:
    before = names.revision(checkout)
    write(checkout, "experiments/__init__.py", "edited during a run")
    assert names.revision(checkout) == before


def test_every_role_has_an_image_with_a_dockerfile() -> None:
    assert {names.image_of(role) for role in (*ROLES, names.DRIVER)} <= set(names.IMAGES)
    assert {*names.IMAGES, names.GREENPLUM} == set(names.recipes())
    with pytest.raises(SpecError, match="no image carries the role 'wurst'"):
        names.image_of("wurst")


def test_names_are_what_docker_takes() -> None:
    for image in names.IMAGES:
        repository, _, tag = names.reference(image).partition(":")
        assert repository == f"cerebro-ds/{image}"
        assert len(tag) == 12
        assert int(tag, 16) >= 0


def test_what_notebooks_read_is_in_the_bundle() -> None:
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        for pattern in metadata.get("reads", ()):
            for path in CHECKOUT.glob(pattern):
                if path.is_file() and "__pycache__" not in path.parts:
                    assert str(path.relative_to(CHECKOUT)) in names.bundle()
