"""Rows of a table from the server's own page files, past its query stack.

::

    with open_table("host=… port=…", "train_packed") as table:
        for batch in table.scan(["buffer_id", "independent_var"], batch_bytes=2**26):
            batch.columns["independent_var"][0]   # uint8 view of one value

Which rows there are is decided as the server decides it, for a snapshot that it gave.
"""

from experiments.warehouse.pagefile.table import Table, open_table
from experiments.warehouse.pagefile.values import Batch, Fixed, Variable

__all__ = ["Batch", "Fixed", "Table", "Variable", "open_table"]
