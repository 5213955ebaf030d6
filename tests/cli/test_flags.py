"""Flags that families declare, in upstream's spellings and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from motionrt.cli._flags import FamilyCommand, flag, given_options
from motionrt.runtime.errors import InputError
from motionrt.runtime.families import all_families, find_family


def parse(*words: str, family: str = "kimodo") -> dict[str, Any]:
    """Parse a command line; return the prompt and the options that were given."""
    found: dict[str, Any] = {}

    @click.command("gen", cls=FamilyCommand)
    @click.argument("prompt", required=False)
    @flag("num-samples", type=int)
    @click.pass_context
    def command(
        ctx: click.Context, /, prompt: str | None, num_samples: int | None, **flags: Any
    ) -> None:
        found.update(given_options(ctx, flags, find_family(family)))
        found.update({"prompt": prompt, "num_samples": num_samples})

    result = CliRunner().invoke(command, list(words), catch_exceptions=True)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return found


def options(*words: str, family: str = "kimodo") -> dict[str, Any]:
    """Only the family's options."""
    found = parse(*words, family=family)
    return {name: found[name] for name in found if name not in ("prompt", "num_samples")}


def test_what_is_not_given_is_not_an_option() -> None:
    assert options("walk") == {}


def test_dashes_and_underscores_are_one() -> None:
    for word in ("--diffusion-steps", "--diffusion_steps"):
        assert options("walk", word, "4") == {"num_steps": 4}
    assert parse("walk", "--num_samples", "2")["num_samples"] == 2


@pytest.mark.parametrize(
    "words",
    [
        ("walk", "--cfg_weight", "2.0", "1.5"),
        ("--cfg_weight", "2.0", "1.5", "--diffusion-steps", "4", "walk"),
        ("walk", "--cfg-weight", "2", "--cfg-weight", "1.5"),
        ("walk", "--cfg-weight", "2", "--cfg_weight", "1.5"),
        ("walk", "--cfg-weight", "2 1.5"),
        ("walk", "--cfg-weight", "2.0,1.5"),
        ("--cfg-weight=2 1.5", "walk"),
        ("--cfg_weight=2", "--cfg-weight=1.5", "walk"),
    ],
)
def test_numbers_are_any_count_of_values(words: tuple[str, ...]) -> None:
    assert parse(*words)["guidance_weights"] == [2.0, 1.5]
    assert parse(*words)["prompt"] == "walk"


def test_numbers_may_be_negative_and_none_is_told_from_not_given() -> None:
    assert options("walk", "--cfg-weight", "-1", "2e-1") == {"guidance_weights": [-1.0, 0.2]}
    assert options("--cfg-weight", "walk") == {"guidance_weights": []}


def test_a_prompt_may_begin_with_a_dash_if_it_has_a_blank() -> None:
    assert parse("- walk there", "--diffusion-steps", "4")["prompt"] == "- walk there"
    assert parse("--cfg-weight", "2", "--what a walk")["prompt"] == "--what a walk"
    assert parse("--", "-walk")["prompt"] == "-walk"


def test_a_switch_is_on_off_or_not_given() -> None:
    assert options("--postprocess") == {"postprocess": True}
    assert options("--no-postprocess") == {"postprocess": False}


def test_files_are_paths() -> None:
    found = options("--between", "a.npz", "b.npz", family="motiongpt3")
    assert found == {"between": (Path("a.npz"), Path("b.npz"))}


def test_a_flag_of_another_family_is_refused_with_the_families_that_have_it() -> None:
    with pytest.raises(InputError, match=r"--temperature: kimodo has no such option \(motiongpt3 "):
        parse("walk", "--temperature", "0.5")
    with pytest.raises(
        InputError, match=r"--first-heading: motiongpt3 .* \(kimodo and ardy have\)"
    ):
        parse("walk", "--first-heading", "1", family="motiongpt3")


def test_every_family_option_is_a_flag_with_its_help() -> None:
    command = FamilyCommand("gen")
    parameters = command.get_params(click.Context(command))
    helps = {parameter.name: parameter for parameter in parameters}
    for family in all_families():
        for name, option in family.options.items():
            if option.flag is not None:
                parameter = helps[name]
                assert isinstance(parameter, click.Option) and parameter.help, name
