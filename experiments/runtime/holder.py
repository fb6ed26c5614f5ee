"""The first process of a node's containers: while it lives, the node has its address.

The containers of a node's roles share its network, processes and shared memory. When it ends, the
kernel ends everything that runs on the node.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

STAY = "--stay"


def hold(arguments: Sequence[str]) -> int:
    """Wait until standard input ends, which whoever made the node keeps open; or for SIGTERM.

    With :data:`STAY` only SIGTERM ends it: for nodes that outlive whoever starts them.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # Orphans of the node become this process's children, and nobody asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("held", flush=True)
    if STAY in arguments:
        while True:
            signal.pause()
    sys.stdin.buffer.read()
    return 0
