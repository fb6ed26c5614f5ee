"""A job that says what it is told to; see ``test_other_environment.py``."""

from __future__ import annotations

import json
import os
import sys
import time

if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    print(json.dumps({"event": "begun", "python": sys.prefix, "folder": os.getcwd()}), flush=True)
    for line in told["says"]:
        print(json.dumps(line), flush=True)
    time.sleep(told.get("stays", 0))
    sys.exit(told.get("status", 0))
