"""Runs a command and turns everything that a user or the system causes into one sentence.

Exit codes: 0 for success, 1 if a check found something, 2 for a mistake or a file that cannot be
used, 130 after Ctrl-C and 143 after SIGTERM. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from functools import cache
from types import FrameType
from typing import Any, Final

from imaxray._common.names import did_you_mean
from imaxray._common.printing import printable, say, warn_in_sentences
from imaxray.cli.help import completion
from imaxray.errors import ImaxrayError

RESUMABLE: Final = frozenset(
    {"build", "cache", "train", "evaluate", "annotate", "study", "strategy"}
)
"""Commands that continue what an earlier call of the same command began."""


class Terminated(KeyboardInterrupt):
    """The system asked the process to end (SIGTERM).

    Libraries that clean up after Ctrl-C do the same for its subclass.
    """


def stops_in_one_sentence() -> None:
    """Let SIGTERM, like Ctrl-C, unwind the command instead of ending the process at once."""

    def terminate(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough; cleaning up goes on
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: Command and options, without the name of the program.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt as stop:
        by, code = ("SIGTERM", 143) if isinstance(stop, Terminated) else ("Ctrl-C", 130)
        _tell(f"Stopped by {by}; {_how_to_go_on(arguments)}.")
        return code


def _run(arguments: Sequence[str]) -> int:
    _prepare_output()
    try:
        _require_texts(arguments)
        # late: this takes a quarter of a second, in which the user may stop the command
        from imaxray._common.memory import keep_freed_memory

        keep_freed_memory()
        command = _command()
        if completion.is_asked():
            completion.complete(command)
        # not main(), which would end on Ctrl-C without a word
        with command.make_context("imaxray", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        _leave_stdout()
        return 1
    except Exception as error:
        if type(error).__name__ == "Exit":  # of Typer: the command chose its exit code
            return int(getattr(error, "exit_code", 0))
        found = sentence(error)
        if found is None:
            raise
        if found:
            _tell(found)
        return int(getattr(error, "exit_code", 2))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Polars, which is no Exception
            raise
        _tell(_damaged(error))
        return 2


def _require_texts(arguments: Sequence[str]) -> None:
    """Check that no argument is empty, because an empty path would mean the current folder.

    Raises:
        ImaxrayError: One is empty, most often because a variable of the shell is.
    """
    for argument, before in zip(arguments, ("imaxray", *arguments), strict=False):
        name, given, value = argument.partition("=")
        if not argument or (name.startswith("--") and given and not value):
            raise ImaxrayError(
                f"Expected a value after {name or before}, but it is empty; name one, and check "
                "the variables of your shell."
            )


@cache
def _command() -> Any:
    from typer.main import get_command

    from imaxray.cli.commands import app

    return get_command(app)


def sentence(error: BaseException) -> str | None:
    """Return what to tell a user about an error, or None if it is a bug.

    An empty text says that everything was told already.

    Example:
        >>> sentence(FileNotFoundError(2, "No such file or directory", "a.csv"))
        'Expected to read and write files at a.csv, but the system says: No such file or \
directory; check the path, its permissions and the free space.'
    """
    if isinstance(error, ImaxrayError):
        return str(error)
    if hasattr(error, "format_message"):  # Typer's own errors, which it makes from a copy of click
        return _of_usage(error)
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop from"):
        where = str(error).removeprefix("Symlink loop from ").strip("'\"")
        return _of_system(OSError(errno.ELOOP, os.strerror(errno.ELOOP), where))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "Expected enough memory, but there is none left; use smaller batches, fewer workers or "
            "a machine with more memory."
        )
    if isinstance(error, UnicodeError):
        return (
            f"Expected text in UTF-8, but some of it cannot be read or written as such "
            f"({_short(error)}); save the file as UTF-8, or set PYTHONIOENCODING=utf-8."
        )
    module = type(error).__module__.partition(".")[0]
    kind = f"{module}.{type(error).__name__}"
    if kind in _DAMAGE or (module == "polars" and isinstance(error, Exception)):
        return _damaged(error)
    if kind == "concurrent.BrokenProcessPool":
        return (
            "Expected every worker process to finish, but one was killed, most often because the "
            "memory was full; use fewer --workers, or a machine with more memory."
        )
    return None


_DAMAGE: Final = frozenset(
    {
        "json.JSONDecodeError", "orjson.JSONDecodeError", "msgspec.DecodeError",
        "msgspec.ValidationError", "pydantic_core.ValidationError", "yaml.YAMLError",
        "pyarrow.ArrowInvalid", "safetensors_rust.SafetensorError", "zipfile.BadZipFile",
        "zlib.error", "gzip.BadGzipFile", "tarfile.ReadError", "jinja2.TemplateSyntaxError",
    }
)  # fmt: skip
"""Errors that decoders raise about content, by package and name, so that none is imported."""


_QUOTING: Final = frozenset(
    {"polars", "pyo3_runtime", "pyarrow", "pydantic_core", "msgspec", "yaml"}
)
"""Packages whose errors quote the content that they cannot read."""


def _damaged(error: BaseException) -> str:
    """Say that content cannot be read.

    What tables and validators say of it is left out, since they quote cells: texts of reports.
    """
    name = type(error).__name__
    quotes = type(error).__module__.partition(".")[0] in _QUOTING or name == "PanicException"
    said = name if quotes else _short(error)
    return (
        f"Expected files that can be read, but the content of one is damaged or of another kind "
        f"({said}); `imaxray verify FOLDER` finds a file that was changed."
    )


def _of_system(error: OSError) -> str:
    if error.strerror is None:  # raised by a library, with a text of its own
        return (
            f"Expected to read and write files, but a library says: {_short(error)}; check the "
            "path, its permissions and the connection."
        )
    where = "" if error.filename is None else f" at {error.filename}"
    advice = {
        errno.ENOSPC: "free some space and start the same command again",
        errno.EDQUOT: "free some space and start the same command again",
        errno.EROFS: "choose a folder that can be written",
        errno.EBUSY: "the path is in use, or a volume is mounted there: choose another one",
    }.get(error.errno or 0, "check the path, its permissions and the free space")
    return (
        f"Expected to read and write files{where}, but the system says: {error.strerror}; {advice}."
    )


def _of_usage(error: Any) -> str:
    """Say what is wrong with the options of a command."""
    context: Any = getattr(error, "ctx", None)
    name = "imaxray" if context is None else context.command_path
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError" and context is not None:
        say(context.get_help(), file=sys.stderr)
        return ""
    parameter = getattr(error, "param", None)
    if (unknown := _unknown(error, context)) is not None:
        what, given, known = unknown
        return (
            f"Expected {what} of `{name}`, but got {given}; "
            f"{did_you_mean(given, known, listed_by=f'{name} --help')}"
        )
    if parameter is None:
        said = _short(error.format_message()).rstrip(".?")
        return f"Expected a command line that `{name} --help` describes, but: {said}; correct it."
    what = _of_parameter(parameter)
    if kind == "MissingParameter":
        return f"Expected {what}, but it is missing; `{name} --help` describes it."
    said = _short(error.message).rstrip(".").removeprefix("Value error, ")
    said = said.replace("Input should", "it should", 1)
    return f"Expected a valid value for {what}, but {said}; `{name} --help` describes it."


def _unknown(error: Any, context: Any) -> tuple[str, str, list[str]] | None:
    """Return what kind of name is unknown, the name, and those that there are."""
    if context is None:
        return None
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option is not None:
        params = context.command.get_params(context)
        names = [name for one in params for name in (*one.opts, *one.secondary_opts)]
        return "an option", option, [name for name in names if name.startswith("-")]
    command = _NO_COMMAND.match(str(error.message))
    if command is not None and hasattr(context.command, "commands"):
        return "a command", command[1], list(context.command.commands)
    return None


_NO_COMMAND: Final = re.compile(r"No such command '([^']+)'")


def _of_parameter(parameter: Any) -> str:
    if parameter.opts[0].startswith("-"):
        return " / ".join(parameter.opts)
    return f"the argument {parameter.metavar or parameter.name.upper()}"


def _short(text: object) -> str:
    """Return the first 300 characters of a text, in one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:300]} …"


def _how_to_go_on(arguments: Sequence[str]) -> str:
    again = shlex.join(["imaxray", *arguments])
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command == "view":
        return f"the viewer has ended and your marks are kept; to open it again: {again}"
    if command in RESUMABLE:
        return f"what is done is kept, and the same command continues it: {again}"
    return f"nothing unfinished is kept, so start the command from the beginning: {again}"


def _tell(text: str) -> None:
    say(f"imaxray: {' '.join(text.split())}", file=sys.stderr)


def _prepare_output() -> None:
    """Let no character of the output, of a warning or of a log line end the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warn_in_sentences()
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Clean())


def _leave_stdout() -> None:
    """Keep Python from writing to a closed pipe again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Clean(logging.Formatter):
    """Formats the log lines that reach the terminal without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
