"""What servers count of themselves grows with what they do."""

from __future__ import annotations

import time

from experiments.warehouse import counters
from experiments.warehouse.cluster import Cluster


def test_every_server_tells_what_it_read_and_wrote(cluster: Cluster) -> None:
    cluster.setup()
    before = counters.read(cluster)
    assert set(before) == {"coordinator-0", *(f"segment-{each.key}" for each in cluster.segments)}
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE counted AS SELECT generate_series(1, 50000) AS one")
        cursor.execute("SET work_mem = '64kB'")
        cursor.execute("SELECT count(*) FROM (SELECT one FROM counted ORDER BY -one OFFSET 1) AS a")
    deadline = time.monotonic() + 30
    while True:  # a session tells what it did when it ends
        after = counters.read(cluster)["coordinator-0"]
        if after["temp_bytes"] > before["coordinator-0"]["temp_bytes"]:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert after["wal_bytes"] >= before["coordinator-0"]["wal_bytes"]
    assert after["xact_commit"] > before["coordinator-0"]["xact_commit"]
    assert after["block_bytes"] == 8192
