"""The last step of an image's build: what is made from the code that was just copied in.

``python -m experiments.cli.image_layer``, as root, in a container of the build.
"""

from __future__ import annotations

import compileall
import os
import py_compile
from pathlib import Path

from experiments.cli.environment import Environment
from experiments.paths import CHECKOUT, LOCKS, state
from experiments.warehouse.tree import SYSTEM_LIB, server_tree


def main() -> None:
    """Mark the environments as whole, make the server tree if a server is here, compile."""
    os.umask(0o022)
    # A checkout or state folder of root's is mounted under the path that it has there.
    Path("/root").chmod(0o711)
    made = state().made
    for name in LOCKS:
        home = Environment(made, name)
        if home.root.exists():
            home.finish()
    code = [CHECKOUT / "experiments"]
    if SYSTEM_LIB.exists():
        server_tree()
        code.append(state().code)
    for folder in code:
        _compile(folder)


def _compile(folder: Path) -> None:
    """So that no process has to, of which none may write here."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(str(folder), quiet=2, invalidation_mode=mode)


if __name__ == "__main__":
    main()
