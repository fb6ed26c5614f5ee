"""Whether a crate is valid, and its files those that it describes. No network is asked."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.errors import DataError
from experiments.paths import Artifacts
from experiments.report.crate import CONTEXT
from experiments.report.crate_files import read_object, sha256

PROFILE = "ro-crate-1.1"
METADATA = Artifacts().crate.name


def invalid(root: Path) -> list[str]:
    """What the validator finds that RO-Crate 1.1 requires and a crate lacks.

    The validator would fetch the crate's context. It gets the one that comes with the library
    ``rocrate`` (a later version's, which has all terms of 1.1), from a cache that is filled here,
    and is told that there is no network.
    """
    with (
        tempfile.TemporaryDirectory(prefix="cerebro-ds-crate-") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # the validator's libraries warn about each other
        from rocrate_validator import models, services

        cache = Path(folder) / "http"
        _fill(cache)
        result = services.validate(
            models.ValidationSettings(
                rocrate_uri=str(root),
                profile_identifier=PROFILE,
                requirement_severity="REQUIRED",
                cache_path=cache,
                offline=True,
            )
        )
        return [] if result.passed() else [str(issue.message) for issue in result.get_issues()]


def _fill(cache: Path) -> None:
    from requests import Request, Response
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    content = (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()
    headers = {"Content-Type": "application/ld+json"}
    answer = Response()
    answer.status_code, answer.reason, answer.url = 200, "OK", CONTEXT
    answer.headers.update(headers)
    answer.request = Request("GET", CONTEXT).prepare()
    answer.raw = HTTPResponse(io.BytesIO(content), headers, 200, preload_content=False)
    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.cache.save_response(answer)


def described_files(root: Path) -> dict[str, dict[str, Any]]:
    """The files of a crate, by path, as its metadata describes them.

    Raises
    ------
    DataError
        There is no metadata, or it is damaged.
    """
    path = root / METADATA
    graph = read_object(path).get("@graph", ())
    try:
        return {_inside(each["@id"]): each for each in graph if each.get("@type") == "File"}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: is not a crate's metadata ({error!r})") from None


def _inside(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name} is not in the crate")
    return name


def damaged(root: Path) -> Iterator[str]:
    """Files that are missing, changed or not described, one line each."""
    wanted = described_files(root)
    for name, entity in wanted.items():
        path = root / name
        if not path.is_file():
            yield f"{name}: missing"
        elif str(path.stat().st_size) != entity.get("contentSize"):
            yield f"{name}: {path.stat().st_size} bytes, not {entity.get('contentSize')}"
        elif sha256(path) != entity.get("sha256"):
            yield f"{name}: its SHA-256 is not the one described"


def revision(root: Path) -> str:
    """Of the bundle that made a crate; empty where it does not say."""
    for entity in json.loads((root / METADATA).read_text(encoding="utf-8"))["@graph"]:
        if entity.get("@id") == "#software":
            return str(entity.get("identifier", ""))
    return ""
