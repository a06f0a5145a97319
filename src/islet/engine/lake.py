"""Readings as Parquet, for whoever asks with SQL, Spark or DuckDB: a file for each task of a micro-batch.

The engine has the readings as columns in its hands; to read them from Kafka once more only to write them costs more
than everything else that it does. A micro-batch that is repeated writes the same files again.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from islet.errors import SettingError
from islet.model.batch import METHOD_CODES, RANGE_CODES, UNIT_CODES

_WORDS: Final = {
    "unit": (0, UNIT_CODES),
    "range": (min(RANGE_CODES.values()), tuple(sorted(RANGE_CODES, key=RANGE_CODES.__getitem__))),
    "method": (0, METHOD_CODES),
}
"""Columns that are codes in the log and words in the lake: the lowest code, and the words from there on."""


class Lake:
    """Collects a task's readings, then writes them at once."""

    def __init__(self, folder: str) -> None:
        """`folder`: a path, or a URL that Arrow knows (s3, gs, abfss, hdfs). Raises SettingError for another."""
        self._files, self._folder = file_system(folder)
        self._shards: list[pa.Table] = []

    def add(self, readings: pa.RecordBatch) -> None:
        """A shard's readings of this micro-batch: READINGS_SCHEMA and `received_at_us`."""
        table = pa.Table.from_batches([readings]).sort_by([("patient", "ascending"), ("time_us", "ascending")])
        for name, (lowest, words) in _WORDS.items():
            place = table.schema.get_field_index(name)
            codes: NDArray[Any] = table.column(name).to_numpy()
            coded = pa.DictionaryArray.from_arrays((codes - lowest).astype(np.int8), pa.array(words))
            table = table.set_column(place, name, coded)
        self._shards.append(table)

    def write(self, query: str, batch: int, task: int) -> None:
        """All that was collected, as `query=…/batch=…/part-….parquet`; nothing where nothing was."""
        if not self._shards:
            return
        folder = f"{self._folder}/query={query}/batch={batch:012d}"
        name = f"{folder}/part-{task:05d}.parquet"
        self._files.create_dir(folder, recursive=True)
        unfinished = f"{folder}/.part-{task:05d}"  # readers leave out what begins with a dot
        with self._files.open_output_stream(unfinished) as file:
            pq.write_table(pa.concat_tables(self._shards), file, compression="zstd")
        self._files.move(unfinished, name)
        self._shards.clear()


def file_system(folder: str) -> tuple[fs.FileSystem, str]:
    """Where a folder is, and its path there. Raises SettingError."""
    url = folder.replace("s3a://", "s3://", 1)  # as Spark calls it
    try:
        files, path = fs.FileSystem.from_uri(url)
    except (ValueError, OSError) as error:
        raise SettingError(
            f"lake: expected an absolute path, or a URL of s3, gs, abfss or hdfs; got {folder!r} ({error})"
        ) from None
    return files, path.rstrip("/")
