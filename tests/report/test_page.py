import base64
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

import fewscan
from fewscan.errors import DataError, UsageError
from fewscan.report.page import make_report, report_html


class Page(HTMLParser):
    """What a page holds, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.links, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(found)
        if "href" in found:
            self.links.append(found["href"])

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_run, make_predictions, make_registration, make_study):
    root = tmp_path_factory.mktemp("folders")
    scored = make_predictions(root / "b", confidence=True)
    alone = root / "scores"
    alone.mkdir()
    (scored / "evaluation.json").rename(alone / "evaluation.json")
    return {
        "training run": make_run(root / "a"),
        "predictions": make_predictions(root / "c"),
        "evaluation": alone,
        "study": make_study(root / "d"),
        "registration": make_registration(root / "e"),
    }


@pytest.fixture(scope="module")
def pages(folders):
    return {kind: report_html(folder) for kind, folder in folders.items()}


def test_every_kind_of_folder_gives_a_page_that_needs_nothing_else(pages, folders):
    for kind, text in pages.items():
        page = Page(text)
        assert f"fewscan · {kind}" in page.words
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        assert all(link.startswith("#") for link in page.links)
        assert all(image["src"].startswith("data:image/") for image in page.images)
        assert "url(" not in text
        assert "@import" not in text
        assert "default-src 'none'" in text
        assert page.images, kind
        assert not (folders[kind] / "report.html").exists()


def test_nothing_is_left_out_of_whole_folders(pages):
    for text in pages.values():
        assert "could not be" not in Page(text).words


def test_every_picture_has_a_text_of_its_own(pages):
    for text in pages.values():
        alternatives = [image["alt"] for image in Page(text).images]
        assert all(len(alternative) > 20 for alternative in alternatives)


def test_every_link_of_the_contents_has_its_place(pages):
    for text in pages.values():
        places = set(re.findall(r'id="([^"]+)"', text))
        assert {link[1:] for link in Page(text).links} <= places


def test_the_page_can_be_read_on_a_phone_and_printed(pages):
    text = pages["training run"]
    assert 'name="viewport" content="width=device-width' in text
    assert "@media print" in text
    assert "@media (max-width: 600px)" in text
    assert "prefers-color-scheme: dark" in text


def test_what_is_wider_than_the_screen_says_that_it_scrolls(pages):
    text = pages["study"]
    tables = text.count('<div class="table')
    assert tables
    assert text.count("More columns: scroll sideways") == tables
    assert text.count("More of the picture: scroll sideways") == text.count(' wide"><div class="frame">')
    assert "animation-timeline: scroll(nearest inline)" in text  # which hides it where nothing scrolls


def test_whoever_listens_hears_what_takes_time(folders, tmp_path):
    heard = []
    make_report(folders["predictions"], tmp_path / "page.html", progress=heard.append)
    assert heard[0] == "records, scans and labels"
    assert heard[-1] == "writing the page"
    count = len(heard)
    make_report(folders["predictions"], tmp_path / "page.html")
    assert len(heard) == count


def test_the_file_is_written_whole_where_it_belongs(folders, tmp_path):
    folder = folders["training run"]
    written = make_report(folder, tmp_path / "page.html")
    assert written.path == tmp_path / "page.html"
    assert written.path.read_text().startswith("<!DOCTYPE html>")
    assert make_report(folder, tmp_path / "new" / "page.html").path.is_file()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    assert not list(folder.glob("*.html"))
    assert json.dumps(written.to_json())
    assert repr(written) == str(written) == f"training run a: finished\nreport: {tmp_path / 'page.html'}"
    assert "Report: training run a" in written._repr_html_()
    with pytest.raises(UsageError, match="is a folder"):
        make_report(folder, tmp_path)
    assert fewscan.make_report is make_report


def test_nothing_but_a_page_is_ever_replaced(folders):
    folder = folders["training run"]
    before = (folder / "run.json").read_bytes()
    with pytest.raises(UsageError, match=r"run\.json: is no name of a page"):
        make_report(folder, folder / "run.json")
    assert (folder / "run.json").read_bytes() == before


def test_a_hostile_case_is_text_and_nothing_else(tmp_path, make_predictions, hostile):
    folder = make_predictions(tmp_path)
    for name in ("prediction.json", "evaluation.json"):
        path = folder / name
        text = path.read_text().replace('"p1"', json.dumps(hostile)).replace('"ball"', json.dumps(hostile))
        path.write_text(text)
    (folder / "p1.nii.gz").unlink()
    text = report_html(folder, scans=tmp_path / "scans")
    assert "<script" not in text
    assert hostile in Page(text).words


def test_a_hostile_file_name_is_text_in_every_picture(tmp_path, make_predictions):
    name = "p<b onload=x>&'\"$^{"
    text = report_html(make_predictions(tmp_path, cases=("p0", name)), scans=tmp_path / "scans")
    page = Page(text)
    assert "b" not in page.tags
    assert f"Worst: {name}" in page.words
    assert any(f"case {name}, prediction" in image["alt"] for image in page.images)
    assert "could not be" not in page.words


def test_hostile_settings_methods_and_scans_of_a_run_are_text(tmp_path, make_run, hostile, make_steps):
    folder = make_run(
        tmp_path / "run", names=(hostile,), data=hostile, records=make_steps(50, **{hostile: 1.0, "b": 0.5})
    )
    split = json.loads((folder / "split.json").read_text())
    (folder / "split.json").write_text(json.dumps(split | {"labelled": ["a", hostile]}))
    text = report_html(folder)
    assert "<script" not in text
    assert Page(text).words.count(hostile) >= 3
    charts = [base64.b64decode(image["src"].split(",")[1]) for image in Page(text).images if "svg" in image["src"]]
    assert charts
    assert not any(b"<script" in chart for chart in charts)


def test_what_cannot_be_reported_on_is_one_clear_error(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"it holds notes.txt[\s\S]*run.json: a training run"):
        report_html(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        report_html(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is a file"):
        report_html(tmp_path / "notes.txt")
    (tmp_path / "run.json").write_text("{broken")
    (tmp_path / "prediction.json").write_text("[1]")
    with pytest.raises(DataError, match="holds no JSON object"):
        report_html(tmp_path)


@pytest.mark.parametrize(
    ("kind", "record", "content"),
    [
        ("training run", "run.json", "{torn"),
        ("predictions", "prediction.json", '{"scans": [{"name": "p0"}]}'),
        ("registration", "registration.json", '{"pairs": [{"id": "a_to_b"}]}'),
        ("study", "cells.json", '[{"method": "supervised"}]'),
    ],
)
def test_records_that_are_damaged_are_one_clear_error(folders, tmp_path, kind, record, content):
    folder = tmp_path / "copy"
    shutil.copytree(folders[kind], folder)
    (folder / record).write_text(content)
    if kind == "study":  # the list counts where the data are not at hand
        study = (folder / "study.yaml").read_text()
        (folder / "study.yaml").write_text(study.replace("Dataset001_Balls", "away"))
    with pytest.raises(DataError) as caught:
        report_html(folder)
    assert str(folder) in caught.value.message
    assert caught.value.mend


def test_scans_and_labels_belong_to_predictions_alone(folders, tmp_path):
    with pytest.raises(UsageError, match="--scans is for predictions, and this is a study"):
        report_html(folders["study"], scans=tmp_path)
    with pytest.raises(UsageError, match="--labels is for predictions, and this is a training run"):
        report_html(folders["training run"], labels=tmp_path)  # it has no rounds
