"""What the site's pages say is tried, or says what it needs; what is generated is all there is."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from documented import run
from places import ROOT

from motionrt.cli.main import cli
from motionrt.runtime import errors

DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
TRIED_ELSEWHERE = {
    "embed.md": "tests/examples",
    "request.md": "tests/test_readme.py",
}
"""Pages whose blocks other tests run."""
TRIED = ("animators.md", "index.md", "proof.md", "robots.md")
_COMMAND = re.compile(r"^(\$ )?(motionrt|pip|python|mkdocs|cmake|cc|vllm) ", re.MULTILINE)
_BLOCK = re.compile(
    r"(?P<mark>^<!-- needs: .+ -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


def _blocks(page: str) -> list[re.Match[str]]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        block
        for block in _BLOCK.finditer(text)
        if block["language"] == "python" or _COMMAND.search(block["text"])
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_tried_or_says_what_it_needs(page: str) -> None:
    if page in TRIED_ELSEWHERE or page in TRIED:
        return
    for block in _blocks(page):
        assert block["mark"], f"docs/{page}: {block['text'].splitlines()[0]}"


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every motionrt command in a page's blocks, continued lines joined."""
    for block in _BLOCK.finditer(text):
        for line in block["text"].replace("\\\n", " ").splitlines():
            if line.removeprefix("$ ").startswith("motionrt "):
                yield shlex.split(re.split(r"[|&;>]", line.removeprefix("$ "))[0], comments=True)


@pytest.mark.parametrize("page", [*PAGES, "../README.md", "../MODEL_CARD.md"])
def test_options_in_commands_exist(page: str) -> None:
    # Also those of blocks that need what is not at hand here, which nothing runs.
    for words in _commands((DOCS / page).read_text(encoding="utf-8")):
        command: click.Command = cli
        context = click.Context(cli)
        rest = words[1:]
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            found = command.get_command(context, rest.pop(0))
            assert found is not None, f"docs/{page}: {' '.join(words)}"
            command = found
        known = {name for parameter in command.get_params(context) for name in _names(parameter)}
        for word in rest:
            if word.startswith("--"):
                assert word.split("=")[0] in known, f"docs/{page}: {word} in {' '.join(words)}"


def _names(parameter: click.Parameter) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


@pytest.mark.slow
@pytest.mark.parametrize("page", TRIED)
def test_blocks_run_in_their_order(page: str, tmp_path: Path) -> None:
    tried = 0
    for block in _blocks(page):
        if block["mark"]:
            continue
        script = block["text"]
        if block["language"] == "python":
            (tmp_path / "shown.py").write_text(script, encoding="utf-8")
            script = "python shown.py"
        run(script.replace("motionrt ", "python -m motionrt "), tmp_path)
        tried += 1
    assert tried


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site" / "pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_its_help_in_the_reference(generated: ModuleType) -> None:
    page = generated.pages()["commands"]
    names = cli.list_commands(click.Context(cli))
    assert len(names) > 25
    for name in names:
        assert f"## motionrt {name}" in page, name
    assert "## motionrt export kimodo\n" in page


def test_tables_have_every_error_and_precision(generated: ModuleType) -> None:
    pages = generated.pages()
    for kind in errors.MotionrtError.__subclasses__():
        assert f"`{kind.__name__}`" in pages["errors"]
    for name in ("int8", "fp16", "int4-mixed"):
        assert f"| `{name}` |" in pages["precisions"]
    assert "| `blender` |" in pages["targets"]
    assert "::: motionrt.runtime.pipeline.Pipeline" in pages["python"]


def test_pages_are_in_the_navigation() -> None:
    listed = re.findall(r"([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert set(PAGES) <= set(listed)


def test_marks_and_links_out_of_the_site_are_shown(generated: ModuleType) -> None:
    text = "<!-- needs: a GPU -->\n[RESULTS.md](../benchmarks/RESULTS.md#a) [one](../x/y.c)"
    assert generated.on_page_markdown(text) == (
        "*Needs a GPU.*\n`benchmarks/RESULTS.md` one (`x/y.c`)"
    )
