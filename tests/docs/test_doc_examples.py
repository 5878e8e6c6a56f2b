"""What the pages of docs/ show is what happens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sybil import Document

from support.doc_examples import COMMAND, ROOT, blocks, is_run, parser, run, transcript

PAGES = sorted(
    [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "rtl/README.md")), *ROOT.glob("docs/**/*.md")]
)
RUN = [page for page in PAGES if is_run(page) and any(block.role != "shown" for block in blocks(page))]


def _name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """Return a folder with what pages take for granted: a photograph, small networks and an input of theirs."""
    folder = tmp_path_factory.mktemp("stand_ins")
    ramp = np.add.outer(np.arange(64), np.arange(96))[..., None] * [1, 2, 3] % 256
    Image.fromarray(ramp.astype(np.uint8)).save(folder / "photo.jpg", format="PNG")  # the same pixels everywhere
    np.save(folder / "input.npy", ramp[None, :32, :32].astype(np.int8))
    for suffix in (".tflite", ".onnx"):
        target = folder / f"model{suffix}"
        options = f"--net size=32 --net width=0.125 --net classes=3 -i {folder / 'photo.jpg'}"
        status, printed = run(f"bittrue export unet {options} -o {target}")
        assert status == 0, printed
    return folder


@pytest.mark.parametrize("page", RUN, ids=_name)
def test_examples_print_what_the_page_shows(page, stand_ins, tmp_path, monkeypatch):
    shutil.copytree(stand_ins, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    for example in Document.parse(str(page), parser):
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_what_is_not_run_is_said(page):
    """Commands hide in no block that the runner takes for something else, and no marker is misspelt."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        hidden = block.role == "shown" and is_run(page) and any(COMMAND.match(line) for line in block.text.splitlines())
        assert not hidden, f"{_name(page)}: neither run nor marked `<!-- not run: REASON -->`:\n{block.text}"
    told = len(re.findall(r"^ *<!-- (?:not run|file): ", text, re.MULTILINE))
    assert told == sum(block.role in ("not run", "file") for block in blocks(page)), "a marker stands before no block"


def _page(tmp_path, text):
    (tmp_path / "page.md").write_text(text)
    return Document.parse(str(tmp_path / "page.md"), parser)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\n$ bittrue explain macs\nlayers[i].macs  float\n...\n```\n", "printed:\nlayers[i].macs  int"),
        ("```\nbittrue explain mocs\n```\n", "ended with status 2:\nerror: no record has a field 'mocs'"),
        ("```python\n>>> 2**10\n1000\n```\n", "Expected:"),
        ("```python\nx = 1\nassert x == 2\n```\n", ""),
    ],
)
def test_what_differs_fails(tmp_path, text, message):
    document = _page(tmp_path, text)
    with pytest.raises(AssertionError) as error:
        [example.evaluate() for example in document]
    assert message in str(error.value)


def test_files_markers_and_ellipses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "<!-- file: a/b.txt -->\n\n```yaml\nx: 1\n```\n\n```\n$ cat a/b.txt\nx: ...\n\n$ echo 1 \\\n    2\n1 2\n```\n"
        "<!-- not run: it would fail -->\n```\nfalse\n```\n"
    )
    for example in _page(tmp_path, text):
        example.evaluate()
    assert Path("a/b.txt").read_text() == "x: 1\n"
    assert [block.role for block in blocks(tmp_path / "page.md")] == ["file", "commands", "not run"]
    assert is_run(tmp_path / "page.md")
    (tmp_path / "page.md").write_text("# x\n\n<!-- examples not run: too slow -->\n\n" + text)
    assert not is_run(tmp_path / "page.md")


def test_a_transcript_is_cut_at_its_prompts():
    assert transcript("$ a \\\n  -b\n1\n\n2\n\n$ c\n") == [("a -b", "1\n\n2\n"), ("c", "")]
    assert transcript("# first\na -b  # why\n\nc\n") == [("a -b  # why", None), ("c", None)]
