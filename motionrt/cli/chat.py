"""Talk about motions: ask for one, then for changes."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._flags import flag
from motionrt.cli._language import language_server_options, use_language_server
from motionrt.cli._streams import printable, tell
from motionrt.runtime.errors import InputError, MotionrtError

if TYPE_CHECKING:
    from motionrt.runtime.motiongpt_qwen.conversation import Conversation, Turn

HELP = """\
Say what shall move, then what shall be different: "a person walks", "now faster".
/save FILE        write the last motion; the ending is the format (walk.glb)
/thinking [on|off]  let the model think before it answers
/show [on|off]    show its thoughts
/free [on|off]    let it answer in words too, with or without a motion
/duration S|off   seconds of every motion; off: the model ends them
/undo             take the last question back
/seed N           draw from another seed from now on; after /undo, for another answer
/history          what was said
/quit             end (so does the end of the input)"""

_MOST_DIGITS = 20  # of a seed: what is longer is none, and takes long to read


@click.command("chat")
@bundle_options
@flag("seed", type=int, help="The same seed and questions give the same answers.")
@flag("resume", type=click.Path(path_type=Path), help="Go on with the conversation in this file.")
@flag(
    "transcript",
    type=click.Path(path_type=Path),
    help="Keep the conversation in this file, written after every answer.  [default: that of "
    "--resume]",
)
@flag("system", help="What the model is told beforehand.")
@flag(
    "template",
    help="How the first question is worded: a name of the bundle's, or a text with "
    "<Caption_Placeholder>.  [default: t2m]",
)
@click.option("--thinking/--no-thinking", default=None, help="As gen has it; /thinking changes it.")
@flag("show-thinking", is_flag=True, help="Show the model's thoughts.")
@click.option("--grammar/--no-grammar", default=True, help="As gen has it.  [default: with]")
@flag("duration", type=float, help="Seconds of every motion.  [default: the model ends them]")
@flag("temperature", type=float, help="0 takes the likeliest token.  [default: the bundle's]")
@flag("top-p", type=float, help="As gen has it.")
@flag("top-k", type=int, help="As gen has it.")
@flag("max-new-tokens", type=int, help="Longest answer.  [default: the bundle's]")
@language_server_options
@backend_options
def command(
    bundle: Path | None,
    model: str | None,
    seed: int | None,
    resume: Path | None,
    transcript: Path | None,
    system: str | None,
    template: str | None,
    thinking: bool | None,
    show_thinking: bool,
    grammar: bool,
    duration: float | None,
    temperature: float | None,
    top_p: float | None,
    top_k: int | None,
    max_new_tokens: int | None,
    lm_url: str | None,
    lm_model: str | None,
    backend: str,
    threads: int,
) -> None:
    """Ask for a motion, line by line, then for changes: each answer knows what was said before.

    Lines come from the terminal or from a pipe. /help says what else there is.
    """
    if resume is not None and (seed is not None or system is not None):
        raise click.UsageError("--resume goes without --seed and --system: the file has both")
    from motionrt.runtime.files import check_writable
    from motionrt.runtime.motiongpt_qwen.conversation import Conversation
    from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
    from motionrt.runtime.pipeline import load
    from motionrt.runtime.sampling.noise import MAX_SEED

    pipeline = load(find_bundle(bundle, model), backend, threads)
    if not isinstance(pipeline, MotionGptQwenPipeline):
        raise InputError(
            f"{pipeline.manifest.name}: {pipeline.family.name} holds no conversation; use a bundle "
            "of motiongpt-qwen"
        )
    use_language_server(pipeline, lm_url, lm_model)
    if resume is not None:
        talk = Conversation.resume(pipeline, resume, template)
    else:
        drawn = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
        talk = Conversation(pipeline, seed=drawn, system=system, template=template)
    talk.thinking, talk.grammar, talk.max_new_tokens = thinking, grammar, max_new_tokens
    talk.rules = pipeline.rules(temperature, top_p, top_k)
    session = _Session(talk, transcript or resume, show_thinking)
    if duration is not None:
        session.set_duration(str(duration))
    if session.transcript is not None:
        check_writable(session.transcript)
    session.run()


class _Session:
    """A conversation on standard input and output."""

    def __init__(self, talk: Conversation, transcript: Path | None, shows: bool) -> None:
        self.talk = talk
        self.transcript = transcript
        self.shows = shows
        self.is_terminal = sys.stdin.isatty()

    def run(self) -> None:
        """Take line after line; one that cannot be answered is said, and the next one taken."""
        if self.is_terminal:
            told = f"{self.talk.num_turns} questions so far. " if self.talk.num_turns else ""
            click.echo(f"{told}Say what shall move; /help says what else there is.")
        failed = False
        for line in self._lines():
            try:
                if line.startswith("/"):
                    if not self._obey(*line[1:].split(maxsplit=1)):
                        return
                else:
                    self._ask(line)
            except MotionrtError as error:
                tell(f"Error: {error}")
                failed = True
        if failed and not self.is_terminal:
            raise click.exceptions.Exit(1)

    def set_duration(self, words: str) -> None:
        """Set the seconds of every motion; ``off`` leaves them to the model."""
        pipeline = self.talk.pipeline
        if words == "off":
            self.talk.num_frames = None
            return
        try:
            frames = int(float(words) * pipeline.fps)
        except (ValueError, OverflowError):
            raise InputError(f"duration {words!r}: expected seconds, or off") from None
        pipeline.check_num_frames(frames)
        self.talk.num_frames = frames

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = input("> " if self.is_terminal else "")
            except EOFError:
                return
            except UnicodeDecodeError:
                raise InputError("standard input is not UTF-8") from None
            if line.strip():
                yield line.strip()

    def _ask(self, line: str) -> None:
        start = time.perf_counter()
        turn = self.talk.ask(line)
        self._show(turn, time.perf_counter() - start)
        if self.transcript is not None:
            self.talk.save(self.transcript)

    def _show(self, turn: Turn, seconds: float) -> None:
        answer, motion = turn.answer, turn.motion
        if self.shows and answer.thought:
            for thought in answer.thought.splitlines():
                click.echo(f"  ({printable(thought)})")
        words = answer.words.replace("<Motion_Placeholder>", "").strip()
        for said in words.splitlines():
            click.echo(printable(said))
        for note in answer.motion.notes:
            tell(f"warning: {note}")
        if motion is None:
            click.echo(f"[no motion, {seconds:.2f} s]")
            return
        if self.talk.num_turns == 1:
            for note in motion.notes:
                tell(f"note: {note}")
        click.echo(
            f"[motion {self.talk.num_turns}: {motion.num_frames} frames ({motion.seconds:.1f} s), "
            f"{len(answer.motion.codes)} codes, in {seconds:.2f} s]"
        )

    def _obey(self, name: str = "", words: str = "") -> bool:
        """Do what a line with a slash says; False ends the conversation."""
        talk = self.talk
        if name == "quit":
            return False
        if name == "save":
            if not words:
                raise InputError("/save needs a file, as in: /save walk.glb")
            motion = talk.last_motion()
            if motion is None:
                raise InputError("there is no motion to save yet")
            motion.save(words)
            click.echo(f"wrote {words}")
        elif name == "thinking":
            before = talk.pipeline.thinks if talk.thinking is None else talk.thinking
            talk.thinking = _switched(before, words)
            click.echo(f"thinking {'on' if talk.thinking else 'off'}")
        elif name == "show":
            self.shows = _switched(self.shows, words)
            click.echo(f"thoughts are {'shown' if self.shows else 'not shown'}")
        elif name == "free":
            talk.wants_motion = not _switched(not talk.wants_motion, words)
            click.echo("answers are " + ("motions" if talk.wants_motion else "free"))
        elif name == "duration":
            self.set_duration(words)
        elif name == "seed":
            from motionrt.runtime.motiongpt_qwen.conversation import checked_seed

            if not words.isdecimal():
                raise InputError("/seed needs a number, as in: /seed 7")
            talk.seed = checked_seed(int(words[:_MOST_DIGITS]))
        elif name == "undo":
            click.echo("taken back" if talk.undo() else "there is nothing to take back")
            if self.transcript is not None:
                talk.save(self.transcript)
        elif name == "history":
            for message in talk.messages:
                content = talk.pipeline.tokens.with_placeholder(message.content, "[motion]")
                click.echo(f"{message.role}: {printable(content)}")
        elif name == "help":
            click.echo(HELP)
        else:
            raise InputError(f"/{name} is unknown; /help says what there is")
        return True


def _switched(before: bool, words: str) -> bool:
    """Return what a switch becomes: the other way round if nothing is said."""
    if words not in ("", "on", "off"):
        raise InputError(f"{words!r}: on or off")
    return not before if not words else words == "on"
