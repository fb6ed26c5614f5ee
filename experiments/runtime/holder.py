"""The first process of a node's containers: while it lives, the node has its address.

The containers of a node's roles share its network, processes and shared memory. When it ends, the
kernel ends everything that runs on the node.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

STAY = "--stay"
SIGNALLED = 128


def hold(arguments: Sequence[str]) -> int:
    """Wait until standard input ends, which whoever made the node keeps open; or for SIGTERM.

    With :data:`STAY` only SIGTERM ends it: for nodes that outlive whoever starts them. With other
    arguments ``python -m experiments ARGUMENTS`` is carried out meanwhile; its exit status is this
    one's.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if arguments and [*arguments] != [STAY]:
        return _meanwhile(arguments)
    # Orphans of the node become this process's children, and nobody asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("held", flush=True)
    if arguments:
        while True:
            signal.pause()
    sys.stdin.buffer.read()
    return 0


def _meanwhile(arguments: Sequence[str]) -> int:
    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    command = [sys.executable, "-P", "-m", "experiments", *arguments]
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    # The thread that watches would keep the interpreter from ending.
    os._exit(code if code >= 0 else SIGNALLED - code)
