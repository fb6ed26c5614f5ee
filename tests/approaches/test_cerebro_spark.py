"""What a run of the published package needs, and says when it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.approaches.cerebro_spark import Approach
from experiments.errors import EnvironmentFault

ANY: Any = None
"""Nothing of the run is looked at before what is missing is found."""


def test_without_its_environment_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_DS_HOME", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="environment of cerebro-dl is not there"):
        Approach(ANY)


@pytest.mark.usefixtures("package_python")
def test_without_java_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentFault, match=r"Spark needs Java 17 or 21.*holds no Java"):
        Approach(ANY)
