"""The manifest of a prepared data set: its recipe, and size and digest of every file.

The same in all its forms (:mod:`experiments.datasets.formats`), each of which is a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from experiments.datasets.recipe import Recipe
from experiments.datasets.source import Split
from experiments.errors import DataError

MANIFEST = "manifest.json"

Array = Literal["x", "y"]
ARRAYS = "arrays"
"""The form that training reads."""

DTYPES: Mapping[Array, str] = {"x": "float32", "y": "int16"}


def array_file(split: Split, partition: int, array: Array) -> str:
    """Path of one array, relative to the prepared folder."""
    return f"{split}/{partition}/{array}.npy"


def files_of(form: str, part: tuple[Split, int]) -> tuple[str, ...]:
    """Paths of a partition's files in a form, relative to the prepared folder."""
    if form == ARRAYS:
        return tuple(array_file(*part, array) for array in DTYPES)
    return (f"{part[0]}/{part[1]}/rows.{'copy' if form == 'copy' else 'parquet'}",)


@dataclass(frozen=True)
class FileRecord:
    """One file.

    Attributes
    ----------
    dtype, shape : of the features or labels in it.
    bytes : size of the file.
    sha256 : hex digest of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``asdict``."""
        return cls(
            str(data["dtype"]),
            tuple(map(int, data["shape"])),
            int(data["bytes"]),
            str(data["sha256"]),
        )


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes
    ----------
    recipe : what was taken and how it was cut.
    description, licence : of the source.
    files : by path relative to the folder.
    form : of the files.
    """

    recipe: Recipe
    description: str
    licence: str
    files: Mapping[str, FileRecord]
    form: str = ARRAYS

    def to_json(self) -> dict[str, Any]:
        return {
            "fingerprint": self.recipe.fingerprint,
            "source": self.description,
            "licence": self.licence,
            "form": self.form,
            "classes": len(self.recipe.class_names),
            "recipe": self.recipe.to_json(),
            "files": {path: asdict(record) for path, record in self.files.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Inverse of :meth:`to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing, of another type, or disagrees with the others.
        """
        recipe = Recipe.from_json(data["recipe"])
        if recipe.fingerprint != data["fingerprint"]:
            raise ValueError("its fingerprint does not fit its recipe")
        form = str(data["form"])
        files = {
            str(path): FileRecord.from_json(record) for path, record in dict(data["files"]).items()
        }
        if files.keys() != {name for part in recipe.parts() for name in files_of(form, part)}:
            raise ValueError("its list of files does not fit its recipe")
        return cls(recipe, str(data["source"]), str(data["licence"]), files, form)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a prepared folder.

        Raises
        ------
        DataError
            It is missing or damaged; the message names it and says what to delete.
        """
        path = folder / MANIFEST
        mend = f"delete the folder {folder} and run again"
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); {mend}") from None
        except (KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise DataError(f"{path} is not the manifest of a data set ({why}); {mend}") from None
