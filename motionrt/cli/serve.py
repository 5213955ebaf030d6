"""Serve motions to other programs and to browsers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._bundles import backend_options
from motionrt.cli._flags import flag
from motionrt.cli._serving import address_options, report, serve, token_option
from motionrt.cli._streams import tell
from motionrt.cli._text_encoder import ask_text_encoder, text_encoder_options
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.runtime.pipeline import Pipeline


@click.command("serve")
@click.argument("bundles", nargs=-1, metavar="[BUNDLE]...", type=click.Path(path_type=Path))
@address_options(8780)
@token_option("MOTIONRT_TOKEN")
@flag(
    "max-seconds",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    help="Longest motion of a request, its parts together.",
)
@flag(
    "max-samples",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="Most motions of a request.",
)
@flag(
    "max-steps",
    type=click.IntRange(1, 100_000),
    default=250,
    show_default=True,
    help="Most denoising steps of a request.",
)
@flag(
    "queue",
    type=click.IntRange(1, 100_000),
    default=512,
    show_default=True,
    help="Requests that wait; more are told to come again.",
)
@flag(
    "together",
    type=click.IntRange(1, 256),
    default=16,
    show_default=True,
    help="Requests of one bundle that share calls of its sampler; 1 runs them one after another.",
)
@flag(
    "memory",
    "memory_gb",
    type=click.FloatRange(0.1),
    help="GB for requests that run and results that are kept.  [default: half of what is free]",
)
@click.option(
    "--page",
    metavar="[DIR]",
    is_flag=False,
    flag_value="",
    help="Serve the studio's page too: of a folder that motionrt web wrote, or without one built "
    "as motionrt web builds it, which takes Node.js.",
)
@text_encoder_options
@backend_options
def command(
    bundles: Sequence[Path],
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    max_seconds: float,
    max_samples: int,
    max_steps: int,
    queue: int,
    together: int,
    memory_gb: float | None,
    page: str | None,
    text_encoder_url: str | None,
    text_encoder_token: str | None,
    backend: str,
    threads: int,
) -> None:
    """Serve the motions of BUNDLEs over HTTP, and with --page a page to ask for them.

    Without BUNDLE it is the embedded default. A request is the JSON of motionrt schema; what comes
    back is JSON, NPZ, GLB, BVH and so on. docs/serving.md has examples, /openapi.json every path.
    Ctrl-C or SIGTERM ends it: what was accepted is finished first.
    """
    from motionrt.cli._extras import needing

    with needing("serve", "serve"):
        from motionrt.serving.jobs import JobLimits
        from motionrt.serving.motions import MotionServer

    from motionrt.runtime.pipeline import load

    places: Sequence[Path | None] = bundles or [None]
    pipelines = _named([load(place, backend, threads) for place in places])
    for pipeline in pipelines.values():
        if not pipeline.family.makes_motions:
            raise InputError(f"{pipeline.bundle.folder}: {pipeline.family.name} makes no motions")
        ask_text_encoder(pipeline, text_encoder_url, text_encoder_token)
        for graph in pipeline.family.motion_graphs:
            pipeline.graph(graph)  # loaded now, or refused now

    limits = JobLimits(
        seconds=max_seconds,
        motions=max_samples,
        steps=max_steps,
        waiting=queue,
        together=together,
        memory_bytes=None if memory_gb is None else int(memory_gb * 1e9),
    )
    server = MotionServer(
        pipelines,
        host,
        port,
        page=_page(page),
        report=report,
        hosts=hosts,
        token=token or None,
        limits=limits,
    )
    names = ", ".join(pipelines)
    anyone = None if token else "use it; --token asks for one"
    serve(server, lambda url: f"serving {names} on {url}", anyone)


def _page(given: str | None) -> Path | None:
    """Return the folder of the page that is asked for, built if none is named."""
    if given is None or given:
        return Path(given) if given else None
    from motionrt.web.build import built

    return built(tell) / "page"


def _named(pipelines: Sequence[Pipeline]) -> dict[str, Pipeline]:
    """Name bundles as their manifests do, and several of one name by their folders."""
    models = [pipeline.manifest.name for pipeline in pipelines]
    named: dict[str, Pipeline] = {}
    for pipeline, model in zip(pipelines, models, strict=True):
        name = model if models.count(model) == 1 else pipeline.bundle.folder.name
        if name in named:
            raise InputError(
                f"two bundles are called {name}; serve them from folders of different names"
            )
        named[name] = pipeline
    return named
