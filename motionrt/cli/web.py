"""Write a page that generates motions in the browser, with the npm module it is made of."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to make: any web server serves it as it is.",
)
@click.option(
    "--webgpu",
    is_flag=True,
    help="Put in what runs the denoiser on the visitor's GPU, for addresses that end in ?webgpu.",
)
@click.option("--force", is_flag=True, help="Replace the folder.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(bundle: Path | None, output: Path, webgpu: bool, force: bool, quiet: bool) -> None:
    """Write a static page that runs BUNDLE, or the embedded default, in the browser.

    Nothing is sent anywhere: the visitor's own machine makes the motions, with WebAssembly in a
    worker. The page works offline after the first visit and needs no special headers. The folder
    motionrt-web in it is an npm package for pages of your own. The first call builds the page with
    npm and keeps it; Node.js is the system's, or that of the extra web.

    \b
    motionrt web -o site && python -m http.server -d site
    """  # noqa: D301, click marks a verbatim paragraph by a real backspace
    from motionrt.cli._streams import tell
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.web.site import write_site

    def report(line: str) -> None:
        if not quiet:
            tell(line)

    site = write_site(bundle_folder(bundle), output, webgpu=webgpu, force=force, tell=report)
    if not quiet:
        click.echo(
            f"{output}  {site.num_bytes / 1e6:.1f} MB, {site.name} of "
            f"{site.bundle_bytes / 1e6:.1f} MB in it"
        )
        click.echo(f"look at it: python -m http.server -d {output}  (then open localhost:8000)")
