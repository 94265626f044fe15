"""Starts the viewer: a server on loopback, and the address that opens it."""

from __future__ import annotations

import gc
import importlib.util
import socket
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imaxray._common.printing import say
from imaxray.errors import ImaxrayError
from imaxray.marks import read_marks

if TYPE_CHECKING:
    import uvicorn

    from imaxray.viewer.library import Library
    from imaxray.viewer.opening.subject import Subject

MARKS: Final = "marks.jsonl"
"""Name of the file of marks in the current folder, unless another one is named."""

_IDLE: Final = 75  # seconds; a busy browser that comes back later must not meet a closed line
_NEEDED: Final = ("fastapi", "uvicorn")


def serve(
    *paths: str | Path,
    data: str | Path | None = None,
    split: str = "test",
    models: Sequence[str] = (),
    marks: str | Path | None = None,
    port: int = 0,
    open_browser: bool = False,
    ready: Callable[[str], None] = say,
) -> None:
    """Show datasets, studies, runs or pseudo annotations in a browser until the process is stopped.

    The server listens on 127.0.0.1 only, and answers only requests with the random token of the
    address that ``ready`` gets.

    Args:
        paths: What is shown, see :func:`imaxray.viewer.open_subject`.
        data: Dataset that runs or pseudo annotations belong to, if it does not stand near them.
        split: Split whose entries the runs answered.
        models: Models whose rendering of entries can be shown.
        marks: File of the user's marks; default: ``marks.jsonl`` in the current folder.
        port: Port to listen on; 0 takes a free one.
        open_browser: Whether to open the address in the browser of this machine.
        ready: Function that gets the address when the server answers.

    Raises:
        ImaxrayError: The extra ``view`` is not installed, a path cannot be shown, the file of marks
            is damaged, or the port is in use.
    """
    require_view()
    with _uncollected():
        from imaxray.viewer.library import Library
        from imaxray.viewer.opening.subject import open_subject

        subject = open_subject(
            [Path(path) for path in paths],
            data=None if data is None else Path(data),
            split=split,
            models=models,
        )
        library = Library(subject, marks_file(marks, subject))
    with bound(port) as listening, ThreadPoolExecutor(1) as beside:
        with _uncollected():
            # so that a damaged dataset is told here; it is read while the server's packages are
            # loaded
            opening = beside.submit(library.dataset, "")
            server, address = make_server(library, listening)
            opening.result()
        for note in subject.notes:
            say(note)
        ready(address)
        if open_browser:
            webbrowser.open(address)
        server.run(sockets=[listening])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage while packages are loaded, which makes none but is slowed down by it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was loaded stays, so that no later search looks at it
        if was:
            gc.enable()


def make_server(library: Library, listening: socket.socket) -> tuple[uvicorn.Server, str]:
    """Return a server of the viewer on a bound socket, and the address that opens it."""
    import uvicorn

    from imaxray.viewer.application import make_application
    from imaxray.viewer.security import new_token

    port, token = listening.getsockname()[1], new_token()
    app = make_application(library, token=token, port=port)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=1, timeout_keep_alive=_IDLE,
    )  # fmt: skip
    return uvicorn.Server(config), f"http://127.0.0.1:{port}/?token={token}"


def bound(port: int) -> socket.socket:
    """Return a socket that listens on a port of loopback.

    Raises:
        ImaxrayError: If the port is in use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()  # a browser that is quicker than the server waits, and is not refused
    except OSError as error:
        listening.close()
        raise ImaxrayError(
            f"Expected the port {port} to be free, but the system says: {error.strerror}; name "
            "another --port, or leave it out."
        ) from error
    return listening


def marks_file(marks: str | Path | None, subject: Subject) -> Path:
    """Return the file of the user's marks, and check that it can be one.

    Raises:
        ImaxrayError: If the file holds something else, or lies in a folder of a dataset.
    """
    path = Path(marks or MARKS).resolve()
    for folder in subject.datasets.values():
        if folder.resolve() in path.parents:
            raise ImaxrayError(
                f"Expected a file of marks outside of the dataset {folder}, whose files belong to "
                f"imaxray, but got {path}; name another one with --marks."
            )
    if path.exists():
        read_marks(path)
    elif not path.parent.is_dir():
        raise ImaxrayError(
            f"Expected the folder {path.parent} for the file of marks, but it does not exist; make "
            "it, or name another file with --marks."
        )
    return path


def require_view() -> None:
    """Check that the packages of the extra ``view`` are installed.

    Raises:
        ImaxrayError: If they are not.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImaxrayError(
            f"Expected the package {missing[0]} to show a page, but it is not installed; run pip "
            "install 'imaxray[view]'."
        )
