"""What commands that serve over HTTP have in common: where, to whom, and until when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from motionrt.cli._streams import tell
from motionrt.runtime.errors import one_line

if TYPE_CHECKING:
    from motionrt.serving.http_server import HttpServer

Function = TypeVar("Function", bound=Callable[..., Any])


def address_options(
    port: int, host_variable: str | None = None, port_variable: str | None = None
) -> Callable[[Function], Function]:
    """Give a command the options of an address: host, port, hosts (names to ask by).

    The variables are those of the environment that may say host and port instead.
    """
    where = click.option(
        "--host",
        envvar=host_variable,
        default="127.0.0.1",
        show_default=True,
        help="Address to serve on; 0.0.0.0 lets other machines in.",
    )
    at = click.option(
        "--port",
        envvar=port_variable,
        default=port,
        show_default=True,
        type=click.IntRange(0, 65535),
        help="Port to serve on; 0 takes a free one.",
    )
    names = click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        help="Name by which clients may ask, besides localhost and addresses; may be repeated.",
    )
    return lambda function: where(at(names(function)))


def token_option(variable: str) -> Callable[[Function], Function]:
    """Give a command --token, which a variable of the environment may hold."""
    return click.option(
        "--token",
        envvar=variable,
        show_envvar=True,
        help="Ask clients for this token (Authorization: Bearer). The variable is not seen by "
        "others, the flag is.",
    )


def report(line: str) -> None:
    """Tell what went wrong in a server."""
    tell(f"Error: {one_line(line)}")


def serve(server: HttpServer, told: Callable[[str], str], open_to_all: str | None) -> None:
    """Serve until it is stopped; told makes the line that says what and where out of the address.

    open_to_all is what whoever reaches the address may do, None if a token is asked for.
    """
    with server:
        click.echo(told(server.url))
        if open_to_all is not None and not server.loopback:
            tell(f"Whoever reaches this address may {open_to_all}.")
        server.serve_forever()
    tell("Stopped.")
