"""The locks name public versions with hashes, and no place that packages come from."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = CHECKOUT / "images" / "locks"
H = "--hash=sha256:" + "0" * 64


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("images_lock", CHECKOUT / "images" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["images_lock"] = module
    spec.loader.exec_module(module)
    return module


lock: Any = _load()


def test_the_locks_are_sound_and_made_from_their_direct_requirements() -> None:
    assert lock.main(["--check"]) == 0


def test_torch_names_both_builds_and_main_holds_nothing_of_cuda() -> None:
    main = lock.parse_lock((LOCKS / "main.txt").read_text(), "main.txt")
    cuda = lock.parse_lock((LOCKS / "torch-cuda.txt").read_text(), "torch-cuda.txt")
    assert len(main["torch"].hashes) >= 2
    assert {name for name in main if name.startswith("nvidia")} == {"nvidia-ml-py"}
    assert {"triton", "nvidia-cublas"} <= cuda.keys()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"torch==2.13.0+cpu {H}", "is a local version"),
        (f"torch>=2.13.0 {H}", "is not pinned"),
        ("torch==2.13.0", "needs SHA-256 hashes"),
        ("torch==2.13.0 --hash=md5:00", "needs SHA-256 hashes"),
        (f"torch==2.13.0 {H} ; python_version > '3'", "needs SHA-256 hashes"),
        (f"torch==2.13.0 {H}\nTorch==2.13.0 {H}", "is there twice"),
        (f"torch @ https://packages.example/torch.whl {H}", "names an index or a host"),
        ("--index-url packages", "names an index or a host"),
        ("--extra-index-url=packages", "names an index or a host"),
        ("-f /opt/wheels", "names an index or a host"),
        ("# from the mirror at wheels.example.org", "names an index or a host"),
    ],
)
def test_unfit_locks_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(lock.LockError, match=complaint):
        lock.parse_lock(text, "main.txt")


@pytest.mark.parametrize("line", ["torch", "torch==2.13.0+cpu", "torch>=2", "torch==2 # why"])
def test_unfit_direct_requirements_are_refused(line: str) -> None:
    with pytest.raises(lock.LockError, match=re.escape(line)):
        lock.parse_direct(line, "main.in")


@pytest.mark.parametrize("change", ["six==1.17.0\n", "", "\nrich==1.0\n"])
def test_a_stale_lock_is_noticed(tmp_path: Path, change: str) -> None:
    for file in LOCKS.iterdir():
        shutil.copy(file, tmp_path)
    direct = tmp_path / "main.in"
    lock.check(tmp_path)
    kept = direct.read_text().replace("rich==15.0.0\n", "")
    direct.write_text(kept + change)
    with pytest.raises(lock.LockError, match=r"not made from|does not hold"):
        lock.check(tmp_path)


def test_a_package_alone_is_locked_without_what_it_declares() -> None:
    text = (LOCKS / "cerebro-dl.in").read_text()
    assert lock.alone(text) == ["cerebro-dl==1.1.1"]
    package = lock.parse_lock((LOCKS / "cerebro-dl.txt").read_text(), "cerebro-dl.txt")
    assert not {"transformers", "flask-restplus"} & package.keys()
    assert {*lock.parse_direct(text, "cerebro-dl.in")} <= package.keys()


def test_comments_do_not_make_a_lock_stale() -> None:
    assert lock.fingerprint("# why\nb==1\n\na==2\n") == lock.fingerprint("a==2\nb==1")
    assert lock.fingerprint("a==2 # alone") != lock.fingerprint("a==2")


def test_a_lock_that_lost_a_requirement_is_noticed(tmp_path: Path) -> None:
    for file in LOCKS.iterdir():
        shutil.copy(file, tmp_path)
    main = tmp_path / "main.txt"
    main.write_text(re.sub(r"(?m)^rich==.*(\n +--hash.*)+\n", "", main.read_text()))
    with pytest.raises(lock.LockError, match="does not hold rich"):
        lock.check(tmp_path)


def test_what_is_rendered_reads_back() -> None:
    pins = [lock.Pin("alpha", "1.0", ("0" * 64, "1" * 64)), lock.Pin("beta", "2", ("2" * 64,))]
    text = lock._render("alpha==1.0\n", pins)
    assert list(lock.parse_lock(text, "main.txt").values()) == pins


def test_no_file_of_the_door_names_the_registrys_host() -> None:
    index: Any = importlib.import_module("pip._internal.models.index")
    hosts = {index.PyPI.netloc, index.PyPI.file_storage_domain}
    folders = (CHECKOUT / "images", CHECKOUT / "experiments", CHECKOUT / ".ci")
    files = [f for folder in folders for f in folder.rglob("*") if f.suffix != ".pyc"]
    for file in [CHECKOUT / "reproduce.py", *filter(Path.is_file, files)]:
        text = file.read_bytes()
        assert not [host for host in hosts if host.encode() in text], file
