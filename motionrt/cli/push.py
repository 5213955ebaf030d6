"""Send a bundle to the Hugging Face Hub, with a model card."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.runtime.errors import InputError


@click.command("push")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("place", metavar="ORG/NAME[@BRANCH][:FOLDER]")
@click.option("--private", is_flag=True, help="Make the repository a private one.")
@click.option("--license", "licence", help="The hub's identifier of the licence, as apache-2.0.")
@click.option("--base-model", help="Repository that the weights come from.")
@click.option("--message", default="Add a motionrt bundle", help="What the commit says.")
@click.option("--dry-run", is_flag=True, help="Print the model card and the files; send nothing.")
def command(
    bundle: Path,
    place: str,
    private: bool,
    licence: str | None,
    base_model: str | None,
    message: str,
    dry_run: bool,
) -> None:
    """Send BUNDLE to a repository of the hub, where motionrt.load("ORG/NAME") finds it.

    HF_TOKEN, or the login of the hub's own tools, says who you are.
    """
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import FILE_NAME, Bundle
    from motionrt.runtime.bundle.sharing import CARD, card, hub_names, renamed
    from motionrt.runtime.hub import HubPlace, send

    target = HubPlace.named(place)
    if target is None:
        raise InputError(f"{place}: no name of a repository, such as org/name")
    opened = Bundle(bundle_folder(bundle))
    opened.check_hashes(opened.manifest.files)
    names = hub_names(opened.manifest)
    text = card(opened.manifest, str(target), base_model, licence)
    if dry_run:
        click.echo(text)
        for name, named in names.items():
            click.echo(f"{opened.manifest.files[name].size / 1e6:9.2f} MB  {named}")
        return
    manifest = renamed(opened.manifest, names).encoded()
    files = {named: opened.path(name) for name, named in names.items()}
    address = send(target, {**files, FILE_NAME: manifest, CARD: text.encode()}, message, private)
    click.echo(f"{place}: {address}")
