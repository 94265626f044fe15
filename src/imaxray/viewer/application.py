"""Defines the addresses of the viewer; FastAPI is imported here, so import this module late."""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from imaxray._version import __version__
from imaxray.errors import ImaxrayError
from imaxray.marks import LONGEST_NOTE, Mark
from imaxray.viewer.finding.query import (
    PAGE,
    Filter,
    needs_tables,
    page_of,
    read_filter,
    whole_number,
)
from imaxray.viewer.image.rendering import Renderer
from imaxray.viewer.image.snippets import python_of_filter, python_of_image
from imaxray.viewer.library import Library
from imaxray.viewer.security import LARGEST_BODY, OnlyThisUser
from imaxray.viewer.viewed import MissingError, ViewedDataset

if TYPE_CHECKING:
    from imaxray.viewer.image.pixels import SmallPictures

_KINDS: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}  # fmt: skip
_DAMAGED: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 192 192"><text x="96" y="100" '
    b'fill="#c8d0d6" font-family="sans-serif" font-size="15" text-anchor="middle">cannot be read'
    b"</text></svg>"
)
"""Small picture of an image that cannot be read."""

_OF_TABLES: Final = (
    "task", "tasks_count", "from", "origin", "quality", "conflict", "entries", "annotations",
    "conflicts", "candidates",
)  # fmt: skip
"""What is null of an image until the tables were read."""

_MOST_PAGES: Final = 10_000_000

_log: Final = logging.getLogger("imaxray.viewer")


def make_application(library: Library, *, token: str, port: int) -> OnlyThisUser:
    """Return the web application of a viewer.

    Args:
        library: What is shown.
        token: Token that every request must have.
        port: Port that the server listens on; requests to other hosts are refused.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_pages(app)
    _add_images(app, library)
    _add_marks(app, library)
    _add_errors(app)
    return OnlyThisUser(app, token=token, port=port)


def _add_pages(app: FastAPI) -> None:
    static = {
        item.name: (item.read_bytes(), _KINDS[PurePath(item.name).suffix])
        for item in (files("imaxray.viewer") / "static").iterdir()
        if PurePath(item.name).suffix in _KINDS
    }

    @app.get("/")
    async def page() -> Response:
        content, kind = static["index.html"]
        return Response(content, media_type=kind)

    @app.get("/static/{name}")
    async def part(name: str) -> Response:
        if name not in static:
            raise MissingError("Expected a file of the viewer, but there is none of this name.")
        content, kind = static[name]
        return Response(content, media_type=kind)


def _add_images(app: FastAPI, library: Library) -> None:
    renderer = Renderer(library.subject.models)

    @functools.cache
    def pictures() -> SmallPictures:
        from imaxray.viewer.image.pixels import SmallPictures  # late: the first page shows none

        return SmallPictures()

    @app.get("/api/about")
    def about(request: Request) -> Response:
        name = _one(request, "dataset")
        reading = library.reading(name)  # before the dataset: if it says the end, this is whole
        return _json(_about(library, library.dataset(name)) | {"reading": reading})

    @app.get("/api/images")
    def images(request: Request) -> Response:
        data, wanted = _asked(request, library)
        found = data.finder.find(wanted, _verdicts(library, wanted))
        size = whole_number("size", _one(request, "size"), PAGE, 1, 200)
        page = whole_number("page", _one(request, "page"), 1, 1, _MOST_PAGES)
        rows = data.finder.rows(page_of(found, page, size))
        problem = library.marks_problem()
        verdicts = {} if problem else library.verdicts()
        for row in rows:
            file, why = data.image_file(row)
            row.update(pixels=file is not None, why_not=why)
            row["marks"] = sorted(verdicts.get(row["image_id"], ()))
            if not data.whole:
                row.update(dict.fromkeys(_OF_TABLES))
            del row["path"]
        about = {"total": len(found), "page": page, "size": size, "sha256": data.sha256}
        return _json({**about, "marks_problem": problem, "images": rows})

    @app.get("/api/facets")
    def facets(request: Request) -> Response:
        data, wanted = _asked(request, library)
        found = data.finder.find(wanted, _verdicts(library, wanted))
        counts = data.finder.facet_counts(found)
        return _json({"total": len(found), "facets": {n: counts[n] for n in _known_facets(data)}})

    @app.get("/api/neighbours")
    def neighbours(request: Request) -> Response:
        data, wanted = _asked(request, library)
        number = data.image(_one(request, "id"))["number"]
        found = data.finder.find(wanted, _verdicts(library, wanted))
        at = (found == number).argmax() if len(found) else 0
        there = bool(len(found)) and int(found[at]) == number
        ids = data.index.table["image_id"]

        def beside(place: int) -> str | None:
            return str(ids[int(found[place])]) if there and 0 <= place < len(found) else None

        return _json(
            {
                "place": int(at) + 1 if there else None,
                "total": len(found),
                "previous": beside(int(at) - 1),
                "next": beside(int(at) + 1),
            }
        )

    @app.get("/api/image")
    def image(request: Request) -> Response:
        from imaxray.viewer.image.details import image_page  # late: the first page needs no tasks

        data = library.dataset(_one(request, "dataset"))
        found = image_page(data, _one(request, "id"), library.subject.arms)
        if (now := library.dataset(_one(request, "dataset"))).sha256 != data.sha256:
            # the dataset was replaced between the first and the last table of this page
            found = image_page(now, _one(request, "id"), library.subject.arms)
        found["marks_problem"] = problem = library.marks_problem()
        found["marks"] = [] if problem else library.marks_of(found["image"]["image_id"])
        return _json(found)

    @app.get("/api/rendered")
    def rendered(request: Request) -> Response:
        data = library.dataset(_one(request, "dataset"))
        row = data.image(_one(request, "id"))
        entries = data.entries(row)
        size = (row["width"], row["height"])
        return _json(renderer.render(_one(request, "model"), entries, size))

    @app.get("/api/python")
    def python(request: Request) -> Response:
        data, wanted = _asked(request, library)
        image_id = _one(request, "id")
        if image_id:
            return _json({"python": python_of_image(data, image_id)})
        return _json({"python": python_of_filter(data, wanted, str(library.marks_file))})

    @app.get("/api/pixels")
    def pixels(request: Request) -> Response:
        data = library.dataset(_one(request, "dataset"))
        file, why = data.image_file(data.image(_one(request, "id")))
        if file is None:
            raise MissingError(f"Expected the file of the image, but {why}; see roots.json.")
        from imaxray.viewer.image.pixels import raw_pixels  # late, as above

        content, described = raw_pixels(file)
        return Response(
            content, media_type="application/octet-stream", headers={"x-pixels": described}
        )

    @app.get("/api/picture")
    def picture(request: Request) -> Response:
        data = library.dataset(_one(request, "dataset"))
        file, why = data.image_file(data.image(_one(request, "id")))
        if file is None:
            raise MissingError(f"Expected the file of the image, but {why}; see roots.json.")
        try:
            content, kind = pictures().of(file), "image/jpeg"
        except ImaxrayError:  # the page of the image says why; a list is shown all the same
            content, kind = _DAMAGED, "image/svg+xml"
        headers = {"cache-control": "private, max-age=600"}
        return Response(content, media_type=kind, headers=headers)


def _add_marks(app: FastAPI, library: Library) -> None:
    @app.get("/api/marks")
    def marks() -> Response:
        found = [mark.model_dump(mode="json") for mark in library.marks()]
        return _json({"file": str(library.marks_file), "marks": found})

    @app.get("/api/marks/export")
    def export() -> Response:
        lines = b"".join(orjson.dumps(m.model_dump(mode="json")) + b"\n" for m in library.marks())
        headers = {"content-disposition": 'attachment; filename="marks.jsonl"'}
        return Response(lines, media_type="application/x-ndjson", headers=headers)

    @app.post("/api/marks")
    async def mark(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        content = await _body(request)
        try:
            given = orjson.loads(content)
            wanted = Mark.model_validate(given)
        except orjson.JSONDecodeError as error:
            raise ImaxrayError("Expected a mark as JSON, but got other text.") from error
        except ValidationError as error:
            from imaxray._common.config import said_of  # late: few marks are wrong

            where = ".".join(map(str, error.errors()[0]["loc"])) or "it"
            raise ImaxrayError(
                f"Expected a mark with image_id and verdict, but {where} is wrong: "
                f"{said_of(error)}; correct it."
            ) from error
        made = await run_in_threadpool(_marked, library, wanted, request)
        return _json(made)


def _marked(library: Library, wanted: Mark, request: Request) -> dict[str, Any]:
    data = library.dataset(_one(request, "dataset"))
    data.image(wanted.image_id)  # or there is no such image
    mark = library.mark(wanted.model_copy(update={"dataset": data.sha256}))
    _log.info("mark %s on %s", mark.verdict, mark.image_id)
    return {"mark": mark.model_dump(mode="json"), "marks": library.marks_of(mark.image_id)}


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ImaxrayError("Expected a mark with the content type application/json.")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise ImaxrayError(f"Expected a request of at most {LARGEST_BODY:,} bytes.")
    return content


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ImaxrayError)
    async def user_error(request: Request, error: ImaxrayError) -> Response:  # noqa: ARG001
        return _json({"error": str(error)}, 404 if isinstance(error, MissingError) else 400)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:  # noqa: ARG001
        sentence = "Expected an address of the viewer, but there is none of this name or method."
        return _json({"error": sentence}, error.status_code)

    @app.exception_handler(OSError)
    async def system_error(request: Request, error: OSError) -> Response:
        _log.error("%s: %s", request.url.path, type(error).__name__)
        said = error.strerror or type(error).__name__
        sentence = f"Expected files that can be read, but the system says: {said}; try it again."
        return _json({"error": sentence}, 500)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        # the message of the error may hold text of a report, so the log only names the place
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{PurePath(last.filename).name}:{last.lineno}"
        _log.error("%s: %s at %s", request.url.path, type(error).__name__, place)
        sentence = f"Expected no fault of the viewer, but met one at {place}; please report it."
        return _json({"error": sentence}, 500)


def _about(library: Library, data: ViewedDataset) -> dict[str, Any]:
    index, subject = data.index, library.subject
    return {
        "title": subject.title,
        "version": __version__,
        "dataset": data.name,
        "datasets": list(subject.datasets),
        "folder": str(data.folder.resolve()),
        "role": data.manifest.get("role"),
        "sha256": data.sha256,
        "images": index.table.height,
        "facets": {name: index.facets[name].values for name in _known_facets(data)},
        "arms": list(index.arms),
        "answers": bool(subject.arms),
        "candidates": subject.candidates is not None,
        "models": list(subject.models),
        "marks_file": str(library.marks_file),
        "longest_note": LONGEST_NOTE,
        "notes": list(subject.notes),
    }


def _verdicts(library: Library, wanted: Filter) -> Mapping[str, frozenset[str]]:
    """Return the marks if a filter needs them, so that damaged ones stop no other filter."""
    return library.verdicts() if wanted.marks else {}


def _known_facets(data: ViewedDataset) -> list[str]:
    """Return the names of the facets that can be counted; before the tables are read, some."""
    return [name for name, facet in data.index.facets.items() if data.whole or not facet.is_set]


def _asked(request: Request, library: Library) -> tuple[ViewedDataset, Filter]:
    items = request.query_params.multi_items()
    data = library.dataset(_one(request, "dataset"), whole=needs_tables(items))
    return data, read_filter(items, data.index)


def _one(request: Request, name: str) -> str:
    return request.query_params.get(name, "")


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(
        orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), status,
        media_type="application/json",
    )  # fmt: skip
