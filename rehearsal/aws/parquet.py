"""Writing a table's rows to S3 in the layout of an RDS export.

    <root>/<database>/<schema>.<table>/<batch>/part-<number>-<uuid>.gz.parquet
    <root>/<database>/<schema>.<table>/<batch>/_SUCCESS

("File naming convention" in the Amazon RDS user guide.) A large table has several batch folders
and its part numbers have gaps, as those of real exports may; an empty table has one batch folder
with nothing but its `_SUCCESS`.
"""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from boto3.s3.transfer import TransferConfig

#: gzip's fastest level: the files are read again within minutes, and higher levels save but a few
#: percent of size.
_GZIP_LEVEL = 1
_ROW_GROUP_ROWS = 65_536
_ROW_GROUP_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class PartLimits:
    """How much goes into one file, and how many files into one batch folder."""

    rows: int = 200_000
    bytes: int = 256 * 1024 * 1024
    parts_per_batch: int = 3


@dataclass(frozen=True)
class Destination:
    """Where an export is written: a bucket, the export's root in it, and the key used."""

    bucket: str
    root: str
    kms_key: str

    @property
    def encryption(self) -> dict[str, str]:
        """The encryption arguments of every object written."""
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}


class TableWriter:
    """Writes one table; a context manager that removes its temporary files.

    Parts go through a temporary file each, so memory holds one row group at most.
    """

    def __init__(
        self,
        s3: Any,
        destination: Destination,
        folder: str,
        schema: pa.Schema,
        limits: PartLimits | None = None,
    ) -> None:
        """Write below `<root>/<folder>/`."""
        self._s3 = s3
        self._destination = destination
        self._folder = f"{destination.root}/{folder}"
        self._schema = schema
        self._limits = limits or PartLimits()
        self._temporary = tempfile.TemporaryDirectory(prefix="rds-export-")
        self._pending: list[pa.RecordBatch] = []
        self._part: pq.ParquetWriter | None = None
        self._part_path = Path(self._temporary.name) / "part.parquet"
        self._part_rows = 0
        self._batch = 0
        self._batch_id = ""
        self._keys: list[str] = []
        self.rows = 0
        self.files = 0
        self.bytes = 0

    def __enter__(self) -> TableWriter:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove temporary files; what is on S3 stays."""
        if self._part is not None:
            self._part.close()
        self._temporary.cleanup()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._pending.append(batch)
        self.rows += batch.num_rows
        rows = sum(pending.num_rows for pending in self._pending)
        size = sum(pending.nbytes for pending in self._pending)
        part_full = self._part_rows + rows >= self._limits.rows
        if part_full or rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            self._flush()
            if part_full or self._part_path.stat().st_size >= self._limits.bytes:
                self._finish_part()

    def finish(self) -> None:
        """Write what is left and close the last batch folder."""
        self._flush()
        self._finish_part()
        if self._batch == 0:
            self._batch = 1
        self._finish_batch()

    def discard(self) -> None:
        """Delete what has been written of the table."""
        for key in self._keys:
            self._s3.delete_object(Bucket=self._destination.bucket, Key=key)
        self.rows = self.files = self.bytes = 0

    def _flush(self) -> None:
        """Write the pending rows as one row group."""
        if not self._pending:
            return
        if self._part is None:
            self._part = pq.ParquetWriter(
                self._part_path,
                self._schema,
                compression="gzip",
                compression_level=_GZIP_LEVEL,
                # DECIMAL is INT32, INT64 or fixed-length bytes by precision, as RDS has it.
                store_decimal_as_integer=True,
                # The Arrow schema is no part of the format and would override the Parquet types.
                store_schema=False,
            )
        rows = pa.Table.from_batches(self._pending, schema=self._schema)
        self._part.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._part_rows += rows.num_rows
        self._pending = []

    def _finish_part(self) -> None:
        """Close and upload the current file; open the next batch folder when this one is full."""
        if self._part is None:
            return
        self._part.close()
        self._part = None
        self._part_rows = 0
        position = self.files % self._limits.parts_per_batch
        if position == 0:
            if self._batch:
                self._finish_batch()
            self._batch += 1
            self._batch_id = str(uuid.uuid4())
        # Every third number is left out: a range of keys without rows writes no file.
        number = position + position // 2
        key = f"{self._folder}/{self._batch}/part-{number:05d}-{self._batch_id}.gz.parquet"
        self._upload(key)

    def _upload(self, key: str) -> None:
        self._s3.upload_file(
            str(self._part_path),
            self._destination.bucket,
            key,
            ExtraArgs=self._destination.encryption,
            Config=TransferConfig(use_threads=False),
        )
        self._keys.append(key)
        self.files += 1
        self.bytes += self._part_path.stat().st_size
        self._part_path.unlink()

    def _finish_batch(self) -> None:
        key = f"{self._folder}/{self._batch}/_SUCCESS"
        self._s3.put_object(
            Bucket=self._destination.bucket, Key=key, Body=b"", **self._destination.encryption
        )
        self._keys.append(key)
