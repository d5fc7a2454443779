"""report.html as a browser shows it, of a checkpoint that main.py evaluates."""

import json
import re
import shutil
import subprocess

import pytest

from brainseg_jax.reports import segmentation
from brainseg_jax.runs import summaries
from tests.test_main import run
from tests.test_report_page import Parsed, loads_nothing

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
MEASURE = """<script>
addEventListener("load", () => {
  const images = [...document.images].map(one => one.naturalWidth);
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.body.textContent = "";
  document.title = JSON.stringify({images, wide});
});
</script></body>"""
PICTURES = ("patients", "panels", "calibration", "training", "failures")


@pytest.fixture(scope="module")
def report(finished):
    """The folder of the report, by main.py as a process."""
    status, printed = run("--mode=evaluate", f"--workdir={finished[0]}")
    assert status == 0 and "PHANTOM" in printed, printed
    return finished[0] / "evaluation" / "fold_4"


@pytest.mark.slow
def test_the_page_holds_what_the_tables_say(report):
    parsed = Parsed((report / "report.html").read_text())
    assert loads_nothing(parsed)
    said = " ".join(" ".join(parsed.text).split())
    summary = json.loads((report / "summary.json").read_text())
    assert f"{summary['patient_dice']:.3f} ({summary['patient_dice_low']:.3f}" in said
    assert summary["note"] in said and "Not for diagnosis." in said
    headings = [text for text in parsed.text if text.strip() == "Leak audit"]
    assert headings and said.index("Leak audit") < said.index("Scores")
    assert "were not looked for" in said
    assert {image["alt"] for image in parsed.of("img")} == {
        f"{name}.png" for name in PICTURES
    }
    for words in ("HD95 (pixels)", "institution", summary["made_by"]["code_sha256"]):
        assert words in said
    card = (report / "model_card.md").read_text()
    assert card.startswith("# Model card: resunet on lgg\\_mri/phantom fold\\_4")
    for heading in ("Intended use and limits", "Data and splits", "Scores", "Policies"):
        assert f"\n## {heading}\n" in card
    assert "![" in card and "failures.png)" in card


@pytest.mark.slow
def test_the_summary_has_documented_keys_and_scores_alone(report):
    summary = json.loads((report / "summary.json").read_text())
    assert summary["schema"] == summaries.SCHEMA
    known = {*summaries.KEYS, *segmentation.scores.score_names(("tumour",))}
    known |= {
        f"pixel_{error}{end}"
        for error in ("ece", "brier")
        for end in ("", "_low", "_high")
    }
    assert summary.keys() <= known
    missing = {"calibration", "post_processing", "undefined"}  # of other runs
    assert {*summaries.KEYS} - summary.keys() == missing


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_every_picture_and_no_line_is_cut(report, tmp_path, width):
    page = (report / "report.html").read_text()
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (tmp_path / "page.html").write_text(page.replace("</body>", MEASURE))
    shown = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}"),
            str(tmp_path / "page.html"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    title = re.search(r"<title>(.*)</title>", shown.stdout)
    found = json.loads(title[1])
    assert len(found["images"]) == len(PICTURES) and min(found["images"]) > 300
    assert not found["wide"]
