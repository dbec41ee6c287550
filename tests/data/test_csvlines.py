"""Line numbers as an editor shows them."""

from pathlib import Path

from ensemble.data.csvlines import line_of, ragged_line


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('\n\ufeffa,b\r\n1,"x\ny"\r\n\n3,4\n5\n', encoding="utf-8")
    assert [line_of(path, row).split(" of")[0] for row in range(3)] == ["line 3", "line 6", "line 7"]
    assert ragged_line(path) == "line 7 has 1 cells, the header 2"
    assert line_of(path, 99).startswith("row 99 of")
    assert line_of(tmp_path / "gone.csv", 1).startswith("row 1 of")
    assert ragged_line(tmp_path / "gone.csv") == ""
