"""The digest: equal data, equal digest; any change, another one."""

from __future__ import annotations

import numpy as np

from ensemble.data.digest import digest_of

X, Y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([0, 1])


def test_layout_in_memory_and_byte_order_do_not_matter() -> None:
    assert digest_of([X, Y], ["a"]) == digest_of([np.asfortranarray(X).astype(">f4"), Y.astype(">i8")], ["a"])


def test_everything_else_matters() -> None:
    digests = [
        digest_of(*arguments)
        for arguments in (
            ([X, Y], ["a", "b"]),
            ([X, Y], ["b", "a"]),
            ([X, Y], ["ab"]),
            ([X + 1, Y], ["a", "b"]),
            ([X.T, Y], ["a", "b"]),
            ([X.reshape(3, 2), Y], ["a", "b"]),
            ([X.view(np.int32), Y], ["a", "b"]),
            ([X, Y, Y[:0]], ["a", "b"]),
            ([Y, X], ["a", "b"]),
        )
    ]
    assert len(set(digests)) == len(digests)


def test_known_answer() -> None:
    # sha256 of: ["a"] <i8 (1,) and eight bytes of 1
    import hashlib

    expected = hashlib.sha256(b'["a"]<i8(1,)' + b"\x01" + b"\x00" * 7).hexdigest()
    assert digest_of([np.array([1])], ["a"]) == expected
