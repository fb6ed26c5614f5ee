"""A checkout of the door alone, with locks of tiny wheels, so that real environments cost seconds.

Nothing here needs a network: pip looks into a folder of wheels made on the spot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOOR = ("__init__.py", "paths.py", "errors.py", "java.py", "nvidia.py", "cli/__init__.py")
OWN = ("machine", "environment", "setup", "doctor")
STAND_IN = """
import json, os, sys
import alpha
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "cwd": os.getcwd(),
                  "state": os.environ["CEREBRO_DS_HOME"], "path": os.environ["PYTHONPATH"],
                  "umask": os.umask(0o022)}))
"""


def wheel(folder: Path, name: str, version: str, needs: Sequence[str] = ()) -> str:
    """Write a wheel of one empty module into `folder`; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {n}\n" for n in needs)
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class Door:
    """A small checkout, a state folder outside it, and how to start it."""

    root: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.root / "home" / "clone"

    @property
    def wheels(self) -> Path:
        return self.root / "wheels"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def environment(self) -> Path:
        """The one environment that was made."""
        (found,) = [p for p in (self.state / "environments").iterdir() if (p / "bin").is_dir()]
        return found

    def lock(self, name: str, pins: dict[str, Sequence[str]]) -> None:
        text = "".join(_entry(pin, hashes) for pin, hashes in pins.items())
        (self.checkout / "images" / "locks" / name).write_text(text, encoding="utf-8")

    def command(self, *arguments: str, python: str = sys.executable) -> list[str]:
        return [python, str(self.checkout / "reproduce.py"), *arguments]

    def env(self, **settings: str) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
        own = {
            "CEREBRO_DS_HOME": str(self.state),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return {**clean, **own, **self.settings, **settings}

    def start(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.env(**settings),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )


def _entry(pin: str, hashes: Sequence[str]) -> str:
    return " \\\n".join([pin, *(f"    --hash=sha256:{digest}" for digest in hashes)]) + "\n"


def as_nobody(command: Sequence[str]) -> list[str]:
    """`command` as an unprivileged user; as it is where the tests already run as one."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


def build(root: Path) -> Door:
    """A door whose lock is one tiny package, in a clone below a home of mode 0700."""
    root.chmod(0o755)
    made = Door(root)
    package = made.checkout / "experiments"
    (package / "cli").mkdir(parents=True)
    (made.checkout / "images" / "locks").mkdir(parents=True)
    shutil.copy(CHECKOUT / "reproduce.py", made.checkout)
    for name in (*DOOR, *(f"cli/{own}.py" for own in OWN)):
        shutil.copy(CHECKOUT / "experiments" / name, package / name)
    (package / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    made.lock("main.txt", {"alpha==1.0": [wheel(made.wheels, "alpha", "1.0")]})
    made.lock("torch-cuda.txt", {})
    (made.root / "home").chmod(0o700)
    return made
