"""The page of a report: escaped, self-contained, in the words of the tables."""

import html.parser
import pathlib
import re

import pytest
from rich.table import Table

from brainseg_jax.reports.page import (
    as_html,
    as_markdown,
    card_sections,
    contents,
    leak_section,
)
from brainseg_jax.reports.page.blocks import (
    Alert,
    Grid,
    Picture,
    Points,
    Section,
    Text,
    facts,
    of_table,
)
from brainseg_jax.runs import hashes, summaries
from tests.test_records import make_about

EVIL = "<script src='https://bad.example/x.js'></script> & \"quoted\""
BLOCKS = [
    Text(EVIL),
    Alert(EVIL),
    Points([EVIL]),
    Grid(("patient", EVIL), [(EVIL, "0.5"), ("b", "0.75 (0.5 to 1)")], EVIL),
    Picture(EVIL, EVIL, b"\x89PNG"),
    Section(EVIL, [Text("within")]),
]
LOADING = {"link", "script", "iframe", "object", "embed", "video", "audio", "base"}


class Parsed(html.parser.HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def loads_nothing(parsed):
    """Whether no tag of a page, nor its style, has an address to fetch from."""
    sources = [
        attributes[name]
        for _, attributes in parsed.tags
        for name in ("src", "srcset", "data", "poster", "background")
        if name in attributes
    ]
    (style,) = [text for text in parsed.text if "color-scheme" in text]
    return (
        not LOADING & {tag for tag, _ in parsed.tags}
        and all(source.startswith("data:image/png;base64,") for source in sources)
        and all(link["href"].startswith("#") for link in parsed.of("a"))
        and not re.search(r"url\(|@import", style)
    )


def test_nothing_of_the_data_becomes_markup_and_nothing_is_loaded():
    parsed = Parsed(as_html.document(EVIL, [Alert(EVIL)], [Section(EVIL, BLOCKS)]))
    assert loads_nothing(parsed)
    # Wherever it stands it is read as it is.
    assert "".join(parsed.text).count(EVIL) == 13
    (image,) = parsed.of("img")
    assert image["alt"] == EVIL and image["src"].endswith("iVBORw==")
    assert parsed.of("meta")[1]["content"].startswith(
        "default-src 'none'; img-src data:"
    )


def test_what_would_be_loaded_is_seen():
    page = as_html.document("t", [], [])
    assert loads_nothing(Parsed(page))
    for more in ('<img src="a.png">', '<script src="x"></script>', '<a href="//b">'):
        assert not loads_nothing(Parsed(page.replace("</body>", more)))
    assert not loads_nothing(Parsed(page.replace(":root", "@import 'x'; :root", 1)))


def test_columns_of_numbers_stand_to_the_right():
    grid = Grid(("a", "b", "c"), [("1", "2 (1 to 3)", "few"), ("2", "", "4")])
    assert grid.of_numbers == [False, True, False]
    page = as_html.block(grid)
    assert page.count('class="number"') == 3 and "<th>a</th>" in page
    assert "| --- | ---: | --- |" in as_markdown.block(grid)


def test_words_stay_words_in_markdown():
    page = as_markdown.document("t", [Text("a_b *c*\n# d | e <i>")], [])
    assert page == "# t\n\na\\_b \\*c\\* \\# d \\| e \\<i\\>\n"


def test_a_printed_table_is_told_in_the_same_words():
    table = Table(title="t", caption="empty masks: one")
    table.add_column("score")
    table.add_column("mean", justify="right")
    table.add_row("Dice", "0.853")
    assert of_table(table) == Grid(
        ["score", "mean"], [("Dice", "0.853")], "empty masks: one"
    )


def test_of_what_nothing_is_said_there_is_no_row():
    assert facts({"a": 1, "b": "", "c": None, "d": 0}).rows == [("a", "1"), ("d", "0")]


def words_of(section):
    return as_markdown.block(section)


def test_the_audit_of_clean_and_of_leaky_splits():
    clean = leak_section.Leaks("fold_4", 3, [], [], [], None)
    clean = clean._replace(unseen="python main.py --mode=audit looks for them.")
    said = words_of(leak_section.section(clean))
    assert "None of the 3 patients of fold\\_4 was trained on" in said
    assert "were not looked for. python main.py --mode=audit looks" in said
    assert "LEAK" not in said
    leaky = clean._replace(
        trained_on=["a", "b"], chose_the_epoch=["c"], audit=["LEAK from train to test"]
    )
    said = words_of(leak_section.section(leaky))
    assert "> **LEAK: 2 of the 3 patients of fold\\_4 were trained on." in said
    assert "1 of the 3 patients of fold\\_4 chose the epoch" in said
    assert "2: a, b" in said and "* LEAK from train to test" in said
    assert "None of the 3" not in said


def test_the_leak_audit_is_the_first_section_and_notes_stand_above():
    told = contents.Contents(
        "t", ["PHANTOM: synthetic data"], Section("Leak audit", [Text("none")]),
        *(Section("Scores", [Text("s")]), [], Section("F", []), Section("P", [])),
        Section("Limits", [Text("l")]), [Section("Model", [Text("m")])],
    )  # fmt: skip
    parsed = Parsed(contents.page(told))
    said = [text.strip() for text in parsed.text if text.strip()]
    place = said.index
    assert place("PHANTOM: synthetic data") < place("Leak audit") < place("Scores")
    assert any(text.startswith("Not for diagnosis.") for text in said)
    assert "F" not in said  # of nothing there is no heading
    card = contents.model_card(told)
    assert card.startswith("# Model card: t\n\n> **PHANTOM: synthetic data**")


def test_calibration_is_told_with_its_interval_or_said_to_be_missing():
    summary = {"label_slice_ece": 0.25, "slice_brier": 0.5, "patient_dice": 1.0}
    summary |= {"slice_brier_low": 0.25, "slice_brier_high": 0.75}
    said = {"calibration": {"temperature": 2, "scores": {"slice_ece": 0.125}}}
    assert words_of(card_sections.calibration(summary, said)).splitlines()[4:] == [
        "| Expected calibration error over slices | 0.250 |",
        "| Brier score over slices | 0.500 (0.250 to 0.750) |",
        "| Expected calibration error at temperature 2.00 | 0.125 |",
    ]
    assert "was not measured" in words_of(card_sections.calibration({"loss": 1.0}, {}))


def test_the_card_says_what_nobody_has_shown():
    about = make_about()
    said = {"data": "lgg 1", "split": "fold_4", "patients": 3, "slices": 9}
    said |= {
        "dimensions": 2,
        "note": "LEAKY: slices of the same patients on both sides",
    }
    limits = words_of(card_sections.limits(said, about.info, about.info, 1))
    for words in ("Not for diagnosis", "3 patients were scored", "another seed"):
        assert words in limits
    assert "the model has seen the patients it is scored on" in limits
    numbers = {"models": 1, "trained": 1, "validated": 2}
    data = words_of(
        card_sections.data(about.config, said, about.info, numbers, {"DU": 2, "CS": 1})
    )
    assert "| Patients by institution | CS: 1, DU: 2 |" in data
    assert "fold\\_1: 2 patients" in data and "the splits are of slices" in data
    data = words_of(
        card_sections.data(about.config, said, about.info, {**numbers, "models": 5}, {})
    )
    assert "5 models, each tested on a fold of its own" in data


def test_hashes_tell_configs_and_code_apart(tmp_path):
    assert hashes.of_config({"a": 1, "b": (2,)}) == hashes.of_config({"b": [2], "a": 1})
    assert hashes.of_config({"a": 1}) != hashes.of_config({"a": 2})
    (tmp_path / "a.py").write_text("x = 1")
    before = hashes.of_code(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert hashes.of_code(tmp_path) != before


def test_a_summary_of_a_newer_version_is_refused():
    path = pathlib.Path("fold_4/summary.json")
    for known in ({}, {"schema": summaries.SCHEMA}):
        summaries.refuse_newer(known, path, "again")
    with pytest.raises(
        ValueError, match="summary.json has schema 3.*score anew: again"
    ):
        summaries.refuse_newer({"schema": "3"}, path, "again")


def test_the_page_on_reports_has_every_key_in_the_words_of_the_code():
    page = (pathlib.Path(__file__).parent.parent / "docs/reports.md").read_text()
    table = page[page.index("| key |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert {name.strip("`"): said for name, said in rows} == summaries.KEYS
    assert f'`"schema": "{summaries.SCHEMA}"`' in page
