"""Bombs are told from data that merely compress well."""

import pytest

from ensemble.data.limits import MOST_BYTES, SMALL, check_expansion
from ensemble.errors import DataError


def test_bounds() -> None:
    check_expansion("it", declared=MOST_BYTES, compressed=MOST_BYTES)
    check_expansion("it", declared=SMALL, compressed=1)
    check_expansion("it", declared=1000 * 5000, compressed=5000)
    with pytest.raises(DataError, match=r"it declares 5,000,001 bytes in 5,000 compressed ones"):
        check_expansion("it", declared=1000 * 5000 + 1, compressed=5000)
    with pytest.raises(DataError, match=r"more than 64 GiB"):
        check_expansion("it", declared=MOST_BYTES + 1, compressed=MOST_BYTES)
