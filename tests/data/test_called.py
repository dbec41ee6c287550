"""A user's own function: everything it may return, and everything it may do wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ensemble.data.called import read_called
from ensemble.errors import DataError, UsageError

RESULTS = {
    "pair": "(x, y)",
    "four": "(x, y, x[:2], y[:2])",
    "named": "{'x': x, 'y': y, 'x_test': x[:2], 'y_test': y[:2]}",
    "dataset": "TensorDataset(torch.tensor(x), torch.tensor(y))",
    "two_datasets": "[TensorDataset(torch.tensor(x[:n]), torch.tensor(y[:n])) for n in (4, 2)]",
    "tensors": "(torch.tensor(x), torch.tensor(y))",
}


@pytest.fixture
def define(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module whose function ``make`` has this body; its name as a source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_data", raising=False)

    def write(body: str) -> str:
        head = "import numpy as np, torch\nfrom torch.utils.data import TensorDataset\ndef make():\n"
        head += "    x, y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])\n"
        (tmp_path / "own_data.py").write_text(head + f"    {body}\n")
        return "own_data:make"

    return write


@pytest.mark.parametrize("kind", RESULTS)
def test_every_kind_of_result(kind: str, define: Callable[[str], str]) -> None:
    source = read_called(define(f"return {RESULTS[kind]}"))
    assert np.array_equal(source.rows.x, np.arange(12.0).reshape(4, 3))  # type: ignore[arg-type]
    assert source.rows.y is not None
    assert source.rows.y.tolist() == [0, 1, 0, 1]
    assert (source.test is not None) == (kind in ("four", "named", "two_datasets"))


def test_inputs_alone_will_do_where_no_targets_are_needed(define: Callable[[str], str]) -> None:
    name = define("return x")
    assert read_called(name, labelled=False).rows.y is None
    with pytest.raises(DataError, match=r"own_data:make has no array 'y'"):
        read_called(name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "returned a int; it should return"),
        ("return (x, y, x)", "returned a tuple of length 3"),
        ("return {'x': x, 'Y': y}", "the key 'Y'; known are x, y, x_test, y_test"),
        ("return TensorDataset(torch.tensor(x))", "item 0 of the Dataset .* is a tuple, not a pair"),
        ("return TensorDataset(torch.zeros(0, 2), torch.zeros(0))", "has no rows"),
        (
            "return type('D', (torch.utils.data.IterableDataset,), {'__iter__': lambda s: iter(())})()",
            "returned a D without length; use a map-style",
        ),
        ("raise ValueError('no disk')", r"(?s)own_data:make failed:.*line 5.*ValueError: no disk"),
        ("raise SystemExit(7)", "(?s)failed:.*SystemExit: 7"),
        ("return (x.astype(object), y)", "x of own_data:make is of type object"),
    ],
)
def test_what_goes_wrong_is_said(body: str, message: str, define: Callable[[str], str]) -> None:
    with pytest.raises(DataError, match=message):
        read_called(define(body))


def test_items_of_several_shapes_are_refused(define: Callable[[str], str]) -> None:
    body = "return type('D', (torch.utils.data.Dataset,), {'__len__': lambda s: 2, "
    body += "'__getitem__': lambda s, i: (np.zeros(2 + i), i)})()"
    with pytest.raises(DataError, match=r"items 0 and 1 .* shapes \(2,\) and \(3,\)"):
        read_called(define(body))


def test_what_it_prints_stays_off_standard_output(
    define: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    read_called(define("print('reading'); return x, y"))
    assert capsys.readouterr() == ("", "reading\n")


def test_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot import 'no_such_module_here'"):
        read_called("no_such_module_here:make")
