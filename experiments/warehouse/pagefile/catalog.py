"""What the server says about a table: its files, its columns, its format; all through SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse.pagefile.layout import POSTGRES_15, PageFormat

Connection = Any
"""psycopg2's connection; the package has no types."""

FORMATS = (POSTGRES_15,)

FIXED: Mapping[str, npt.DTypeLike] = {
    "bool": np.bool_,
    "int2": np.int16,
    "int4": np.int32,
    "int8": np.int64,
    "float4": np.float32,
    "float8": np.float64,
}
"""Types of fixed length that become numpy arrays."""

_ALIGNMENT = {"c": 1, "s": 2, "i": 4, "d": 8}
ARRAYS = {f"_{name}": name for name in FIXED}
"""Array types and their elements'."""

_RAW = ("bytea", "text", "varchar", "bpchar")

VARIABLE = (*_RAW, *ARRAYS)
"""Types of variable length that become bytes; arrays keep ``ArrayType``'s header (``array.h``)."""

ELEMENT_OIDS: Mapping[str, int] = {
    "bool": 16, "int2": 21, "int4": 23, "int8": 20, "float4": 700, "float8": 701,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One attribute, dropped ones included.

    Attributes
    ----------
    name, kind : of ``pg_attribute`` and ``pg_type``.
    length : ``attlen``; -1 is variable, -2 ends with a zero.
    alignment : bytes.
    dropped : still takes its place in tuples.
    default : bytes, little-endian as in a page, that tuples older than the column have; None is
        NULL.
    """

    name: str
    kind: str
    length: int
    alignment: int
    dropped: bool
    default: bytes | None

    @property
    def readable(self) -> bool:
        return not self.dropped and (self.kind in FIXED or self.kind in VARIABLE)


@dataclass(frozen=True)
class Catalog:
    """A table as its server knows it, under the locks of this transaction.

    Attributes
    ----------
    heap, toast : first files of the table and of its TOAST relation, which may not exist.
    table : its name, qualified and quoted as SQL needs it.
    data : the server's data folder.
    toast_oid : of the TOAST relation; 0 if there is none.
    frozen : older of the two ``relfrozenxid``.
    file_blocks : pages of a full file.
    checksums : the cluster keeps page checksums.
    encoding : the server's name of what text is in.
    """

    table: str
    data: Path
    heap: Path
    toast: Path | None
    toast_oid: int
    frozen: int
    columns: tuple[Column, ...]
    shape: PageFormat
    file_blocks: int
    checksums: bool
    encoding: str


def read_catalog(connection: Connection, table: str) -> Catalog:
    """Look a table up; the caller holds a lock on it.

    Raises
    ------
    DataError
        Not a heap table whose pages are kept on disk, or another server's format.
    EnvironmentFault
        The server's folder is not on this machine, or may not be read.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.oid, c.relkind, c.relpersistence, a.amname, c.reltoastrelid,
                   t.oid::regclass::text, c.relfrozenxid::text::bigint,
                   t.relfrozenxid::text::bigint
            FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam
            LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
            WHERE c.oid = %s::regclass
            """,
            (table,),
        )
        oid, kind, persistence, method, toast_oid, toast, frozen, toast_frozen = cursor.fetchone()
        if kind not in "rm" or method != "heap":
            raise DataError(f"table {table} is no heap table: it has no page files to read")
        if persistence != "p":
            raise DataError(
                f"table {table} is unlogged or temporary: a checkpoint does not write its pages"
            )
        if toast is not None:  # takes the lock that LOCK TABLE refuses to take
            cursor.execute(f"SELECT FROM {toast} LIMIT 0")
        cursor.execute(
            """
            SELECT current_setting('data_directory'), current_setting('block_size')::int,
                   (SELECT setting::int FROM pg_settings WHERE name = 'segment_size'),
                   current_setting('data_checksums')::bool,
                   (SELECT pg_control_version FROM pg_control_system()),
                   (SELECT system_identifier FROM pg_control_system()),
                   pg_relation_filepath(%s), pg_relation_filepath(nullif(%s, 0::oid)),
                   (SELECT max_data_alignment FROM pg_control_init()),
                   (SELECT max_toast_chunk_size FROM pg_control_init())
            """,
            (oid, toast_oid),
        )
        data, page_bytes, file_blocks, checksums, version, identity, *rest = cursor.fetchone()
        heap, toast_path, align, chunk = rest
        _check_folder(Path(data), identity)
        shape = next((each for each in FORMATS if each.control_version == version), None)
        found = (page_bytes, chunk, align)
        if shape is None or found != (shape.page_bytes, shape.chunk_bytes, 8):
            raise DataError(
                f"table {table}: page files of this server (control version {version}, pages of "
                f"{page_bytes} bytes, chunks of {chunk}) are in no format that is known"
            )
        columns = _columns(cursor, oid)
    oldest = frozen if toast_frozen is None else _older(frozen, toast_frozen)
    folder = Path(data)
    return Catalog(
        table=table,
        data=folder,
        heap=folder / heap,
        toast=None if toast_path is None else folder / toast_path,
        toast_oid=toast_oid,
        frozen=oldest,
        columns=columns,
        shape=shape,
        file_blocks=file_blocks,
        checksums=checksums,
        encoding=connection.info.parameter_status("server_encoding"),
    )


def _check_folder(data: Path, identity: int) -> None:
    """The folder of that name on this machine must be this server's."""
    control = data / "global" / "pg_control"
    try:
        with control.open("rb") as file:
            found = int.from_bytes(file.read(8), "little", signed=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{control}: {error.strerror}: page files are read where the server runs, by its user "
            "or by root"
        ) from None
    if found != identity:
        raise EnvironmentFault(f"{control}: belongs to another server than the one that answers")


def _older(first: int, second: int) -> int:
    return first if (first - second) % 2**32 >= 2**31 else second


def _columns(cursor: Any, oid: int) -> tuple[Column, ...]:
    cursor.execute(
        """
        SELECT attname, coalesce(typname, ''), attlen, attalign, attisdropped, atthasmissing,
               quote_ident(n.nspname) || '.' || quote_ident(t.typname), attnum
        FROM pg_attribute a LEFT JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE attrelid = %s AND attnum > 0 ORDER BY attnum
        """,
        (oid,),
    )
    columns = []
    for name, kind, length, align, dropped, missing, full, number in cursor.fetchall():
        default = None
        if missing and not dropped and (kind in FIXED or kind in VARIABLE):
            default = _default(cursor, oid, number, kind, full)
        columns.append(Column(name, kind, length, _ALIGNMENT[align], dropped, default))
    return tuple(columns)


def _default(cursor: Any, oid: int, number: int, kind: str, full: str) -> bytes | None:
    """``attmissingval``, which is an array of one value of the column's type."""
    cursor.execute(
        f"SELECT ((attmissingval::text::text[])[1])::{full} FROM pg_attribute "
        "WHERE attrelid = %s AND attnum = %s",
        (oid, number),
    )
    (value,) = cursor.fetchone()
    if value is None:
        return None
    if kind in ARRAYS:
        return _array(np.array(value, FIXED[ARRAYS[kind]]), ARRAYS[kind])
    if kind in FIXED:
        return np.array(value, FIXED[kind]).tobytes()
    return bytes(value) if kind == "bytea" else str(value).encode()


def _array(values: npt.NDArray[Any], element: str) -> bytes:
    """``ArrayType`` without its length word: dimensions, no nulls, element type, lower bounds."""
    header = [values.ndim, 0, ELEMENT_OIDS[element], *values.shape, *[1] * values.ndim]
    text = np.array(header, "<i4").tobytes()
    return text + b"\0" * (-(len(text) + 4) % 8) + values.tobytes()
