"""What the documents say is what the program does."""

import re
from pathlib import Path

import click
import pytest

from compose.cli import COMMANDS, cli

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "gateway", "stream", "simulators", "compose")
PAGES = [
    ROOT / "README.md",
    *(ROOT / package / "README.md" for package in PACKAGES),
    ROOT / "stream" / "packs" / "README.md",
]


def commands(
    group: click.Command, words: tuple[str, ...] = ()
) -> dict[tuple[str, ...], click.Command]:
    found = {words: group}
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, name
            found |= commands(command, (*words, name))
    return found


ALL = commands(cli)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_says_what_it_does(words: tuple[str, ...]) -> None:
    assert ALL[words].help


@pytest.mark.parametrize("words", [words for words in ALL if len(words) > 1], ids=" ".join)
def test_a_groups_listing_cuts_no_summary_at_80_columns(words: tuple[str, ...]) -> None:
    group = ALL[words[:-1]]
    assert isinstance(group, click.Group)
    formatter = click.HelpFormatter(width=80)
    group.format_commands(click.Context(group), formatter)
    row = re.search(rf"^  {words[-1]} .*$", formatter.getvalue(), re.MULTILINE)
    assert row is not None
    assert "..." not in row[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert (
        f"tidegate {name}" in (ROOT / "README.md").read_text()
        or f"./run {name}" in (ROOT / "README.md").read_text()
    )


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    shown = re.findall(
        r"(?:\./run|tidegate) ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", page.read_text()
    )
    code = [words.split() for words in shown]
    for words in code:
        if words[0] not in COMMANDS:
            continue
        group = ALL[(words[0],)]
        if isinstance(group, click.Group) and len(words) > 1:
            assert (words[0], words[1]) in ALL, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_names_a_registrys_host_or_a_path_of_a_machine() -> None:
    # Apart here, or this file would name them.
    hosts = "repo1?[.]ma ven|py pi[.]org|python hosted|registry[.]npm js|deb[.]deb ian"
    hosts = hosts.replace(" ", "")
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT).parts
        if (
            not path.is_file()
            or relative[0] in (".venv", ".git", ".tidegate")
            or "target" in relative
        ):
            continue
        if path.suffix in (".py", ".java", ".toml", ".yaml", ".xml", ".md", ".lock", ".sh", ""):
            text = path.read_text(errors="ignore")
            assert not re.search(hosts, text), path
