"""The page: what it shows of what there is, what it says of what there is not."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from experiments.paths import Artifacts, RunFolder
from experiments.report import page, page_data
from experiments.report.verdict import Outcome
from experiments.specs.load import figures, left_out
from tests.analysis.synthetic_runs import spec
from tests.report import made_up
from tests.report.made_up import EVIL, begin, finished, judge, verdict, whole


class _Reader(HTMLParser):
    """Elements of a page, and the text of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in {"section", "article"}:
            self._within.append(str(dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"section", "article"}:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        for name in self._within:
            self.sections[name] = self.sections.get(name, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def read(artifacts: Artifacts, **waiting: str) -> _Reader:
    return _Reader(page.render(page_data.gather("smoke", artifacts, waiting), artifacts))


def test_an_empty_folder_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    said = read(Artifacts(tmp_path)).sections
    assert "No claim has been judged yet" in said["claims"]
    assert "--verify --scale smoke" in said["claims"]
    assert "No prediction was made" in said["predicted"]
    assert "No run of this scale is finished" in said["runs"]
    for name in figures():
        assert "not built yet" in said[f"figure-{name}"]
    for each in left_out("scalability", "smoke"):
        assert each.reason in said["not-run"]


def test_a_figure_has_its_picture_numbers_and_what_it_was_made_from(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    reader = read(artifacts)
    said = reader.sections["figure-9b"]
    assert "Section 5.1, Figure 9B" in said
    assert "Evidence: measured" in said
    assert "0.71" in said  # the paper's value
    assert "DA-Cerebro" in said
    (picture,) = reader.all("img")
    assert (picture["width"], picture["height"]) == ("1200", "400")
    assert str(picture["src"]).startswith("data:image/png;base64,")
    assert "Figure 9B" in str(picture["alt"])


def test_links_lead_to_files(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    addresses = [str(each["href"]) for each in read(artifacts).all("a")]
    files = [address for address in addresses if not address.startswith("#")]
    assert len(files) >= 8
    for address in files:
        assert (artifacts.report / unquote(address)).is_file(), address
    ids = {attributes.get("id") for _, attributes in read(artifacts).found}
    assert {address[1:] for address in addresses if address.startswith("#")} <= ids


def test_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    text = page.render(page_data.gather("smoke", whole(tmp_path), {}), Artifacts(tmp_path))
    for tag, attributes in _Reader(text).found:
        for name in ("src", "href", "action", "srcset", "poster"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "../", "data:")), (tag, address)
    assert not re.search(r"@import|url\(", text)


def test_what_runs_and_claims_say_stays_text(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    name = "breakdown-<b>x"
    begin(artifacts.runs / name, spec()).close()
    made_up.figure(artifacts, "9c", f"title,value\n{EVIL.replace(',', ';')},1\nb,2\n", [])
    reader = _Reader(
        page.render(page_data.gather("smoke", artifacts, {f"w{EVIL}": EVIL}), artifacts)
    )
    assert len(reader.all("script")) == 1
    assert len(reader.all("img")) == 2
    assert not reader.all("b")
    assert EVIL in reader.sections["claim-2"]
    assert name in reader.sections["not-run"]


def test_claims_show_their_outcome_and_lead_to_figures_and_journals(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    reader = read(artifacts)
    outcomes = [each["data-outcome"] for each in reader.all("article") if "data-outcome" in each]
    assert outcomes == ["reproduced", "contradicted", "not run"]
    assert '"ratio": 2.5' in reader.sections["claim-2"]
    addresses = [each["href"] for each in reader.all("a")]
    assert addresses.count("#figure-9b") == 2
    assert "1 contradicted" in " ".join(reader.sections["summary"].split())


def test_claims_of_another_scale_say_so(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    judge(artifacts, [verdict("1", Outcome.SIMULATED)])
    said = json.loads(artifacts.verdicts.read_text())
    artifacts.verdicts.write_text(json.dumps({**said, "scale": "laptop"}))
    assert "Judged at laptop scale" in read(artifacts).sections["claims"]
    assert "This page is of smoke scale" in read(artifacts).sections["claims"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"scale": "smoke"}', '{"verdicts": [{}]}'])
def test_damaged_files_are_named_and_the_rest_stays(tmp_path: Path, damage: str) -> None:
    artifacts = whole(tmp_path)
    artifacts.verdicts.write_text(damage)
    artifacts.predicted.write_text(damage)
    artifacts.figures("smoke").joinpath("9b.csv").write_text("a,b\n1\n")
    RunFolder(artifacts.runs / "breakdown-ctq-smoke").result.write_text(damage)
    said = read(artifacts).sections
    assert "verdicts.json: " in said["claims"]
    assert "predicted.json is damaged" in said["predicted"]
    assert "9b.csv: a row has not as many values as the heading" in said["figure-9b"]
    assert "breakdown-ctq-smoke" in said["not-run"]
    assert "DA-Cerebro" in said["gantt"]


def test_predicted_times_stand_beside_real_ones(tmp_path: Path) -> None:
    said = " ".join(read(whole(tmp_path)).sections["predicted"].split())
    assert "expected to take 8 s and took 6 s: the prediction was +25 % off" in said


def test_what_was_not_run_is_listed_with_the_reason(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    begin(artifacts.runs / "search-ctq-smoke", spec(experiment="search")).close()
    data = page_data.gather("smoke", artifacts, {"hybrid-ma-smoke": "has not been run"})
    why = {each.what: each.why for each in data.not_run}
    assert why["hybrid-ma-smoke"] == "to be carried out: has not been run"
    assert "begun and not finished" in why["search-ctq-smoke"]
    assert any(what.startswith("experiment e2e-imagenet") for what in why)
    assert not any(what.startswith("experiment breakdown") for what in why)


def test_runs_of_other_scales_are_not_this_page_s(tmp_path: Path) -> None:
    artifacts = whole(tmp_path)
    finished(artifacts.runs / "breakdown-ctq-laptop", spec(scale="laptop"))
    assert len(page_data.gather("smoke", artifacts, {}).done) == 2
    assert len(page_data.gather("laptop", artifacts, {}).done) == 1


def test_a_run_that_was_done_again_counts_once(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    for digest in ("0123abcd", "4567cdef"):
        finished(artifacts.runs / f"breakdown-ctq-smoke-w2-s1-{digest}", spec())
    earlier = RunFolder(artifacts.runs / "breakdown-ctq-smoke-w2-s1-4567cdef").result
    earlier.write_text(earlier.read_text().replace("2021-05-07", "2021-05-05"))
    data = page_data.gather("smoke", artifacts, {})
    assert [run.name for run in data.done] == ["breakdown-ctq-smoke-w2-s1-0123abcd"]
    assert data.superseded == 1
    assert data.seconds == 6
    assert "1 finished runs of earlier versions" in read(artifacts).sections["runs"]


def test_it_is_written_whole_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    whole(tmp_path)
    written = [Path(page.write("smoke")) for _ in range(2)]
    assert {*written} == {tmp_path / "report" / "index.html"}
    assert written[0].read_text(encoding="utf-8").rstrip().endswith("</html>")
