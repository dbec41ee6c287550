"""The identity of a data set: two runs with the same digest saw the same rows in the same parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from ensemble.data.dataset import Array


def digest_of(arrays: Sequence[Array], classes: Sequence[str]) -> str:
    """SHA-256 over the class names as JSON, then for each array its type, its shape and its bytes in C order.

    The arrays are the inputs as read (tables encoded, nothing standardized), the targets, and the index
    vectors of training, validation and test rows. Bytes are little-endian: the same digest on every machine.
    """
    total = hashlib.sha256(json.dumps(list(classes)).encode())
    for array in arrays:
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        total.update(f"{plain.dtype.str}{plain.shape}".encode())
        # The buffer itself, not a copy of it; a view of bytes, since an empty buffer has no format to cast.
        total.update(plain.reshape(-1).view(np.uint8).data)
    return total.hexdigest()
