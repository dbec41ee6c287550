from __future__ import annotations

import re

from ensemble.reports.markdown import escape, render_markdown
from ensemble.reports.summary import table
from tests.reports.examples import full_report, regression_report


def test_every_line_of_the_table_has_all_columns() -> None:
    for document in (full_report(), regression_report()):
        text = render_markdown(document)
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len(lines) == len(table(document).rows) + 2
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


def test_a_remark_fills_its_line() -> None:
    document = full_report()
    document["members"] = document["members"][:1] * 30
    line = next(line for line in render_markdown(document).splitlines() if "not shown" in line)
    assert line.count("|") == 6


def test_combiners_stand_out_and_what_has_no_meaning_does_not() -> None:
    text = render_markdown(full_report())
    assert re.search(r"\| \*\*vote\*\* \| \*\*0\.\d{4}\*\* \| – \|", text)
    assert "- ⚠️ 1 of 6 members failed" in text
    assert "- There is no vote" in render_markdown(regression_report())


def test_names_are_neither_markup_nor_links_nor_mentions() -> None:
    assert escape("<script>") == "&lt;script&gt;"
    assert escape("a|b*c_d`e`[f](g)") == r"a\|b\*c\_d\`e\`\[f\](g)"
    assert escape("@someone #12 https://a.b www.a.b &lt;") == (
        "&#64;someone &#35;12 https&#58;//a.b www&#46;a.b &amp;lt;"
    )
    document = full_report()
    document["data"]["source"] = "x\n# y | <b>"
    assert render_markdown(document).startswith("### x &#35; y \\| &lt;b&gt; · classification")


def test_a_hostile_status_stays_in_its_cell() -> None:
    document = full_report()
    document["members"][5]["status"] = "a|b"
    assert r"| member 5 (a\|b) | – |" in render_markdown(document)
