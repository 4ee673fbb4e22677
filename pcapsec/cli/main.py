"""The `pcapsec` command: finds its commands, and turns errors into messages and exit codes.

Exit codes, the highest applies: 0 done · 1 a finding at or above --fail-on · 2 usage · 3 an input could not be read, or the baseline not used · 4 a fault of ours.
"""
from __future__ import annotations

import importlib
import os
import sys
import traceback

import click

from .. import __version__
from ..errors import CaptureError, PcapsecError

COMMANDS = {"analyze": "analyze", "compare": "compare", "rules": "rules", "explain": "explain"}  # name -> module; those that work
DONE, FOUND, USAGE, UNREADABLE, FAULT = range(5)


class Commands(click.Group):
    """Loads a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f".{COMMANDS[name]}", __package__).command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pcapsec")
def cli() -> None:
    """Find mail logins, mail and missing encryption in packet captures.

    Capture only what you may: other people's mail is protected by law.
    """


def say(text: str) -> None:
    """A line on stderr, with nothing in it that could steer a terminal."""
    from ..tables.text import visible

    try:
        sys.stderr.write("\n".join(visible(line) for line in text.splitlines()) + "\n")
    except (OSError, ValueError):
        pass


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        code = cli.main(args=arguments, prog_name="pcapsec", standalone_mode=False)
        _flush()
        return code if isinstance(code, int) else DONE
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        try:
            error.show()
        except BrokenPipeError:
            pass
        return USAGE
    except BrokenPipeError:
        leave_pipe()
        return DONE
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except CaptureError as error:
        say(f"pcapsec: {error}")
        return UNREADABLE
    except PcapsecError as error:
        say(f"pcapsec: {error}")
        return USAGE
    except Exception as error:  # the message of an unknown error may quote the wire, so only its place is told
        last = traceback.extract_tb(error.__traceback__)[-1]
        say(f"pcapsec: a fault of ours: {type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}; please report it")
        return FAULT


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave_pipe()


def leave_pipe() -> None:
    """The reader of stdout has gone: the interpreter must not try to flush into it at its end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass
