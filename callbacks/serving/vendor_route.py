"""Serves the vendored scripts of ``utils/live/vendor_files.py`` and BertViz's frame, which loads them."""

import flask

from callbacks.serving.headers import POLICY, frame_policy
from utils.live.bertviz_page import PAGE_NAME, SCRIPT_NAME, HeadFrame, head_frame
from utils.live.vendor_files import VENDOR_FILES, VENDOR_FOLDER, VENDOR_PREFIX


def register_vendor_route(server: flask.Flask, prefix: str = VENDOR_PREFIX) -> None:
    """Add the route for the vendored scripts and the frame to a server.

    Only the files in the list are served; any other name below the prefix is a 404.

    Args:
        server: the Flask server under the Dash app (``app.server``).
        prefix: the path below which they are; starts and ends with a slash.
    """
    names = frozenset(vendor_file.file_name for vendor_file in VENDOR_FILES)

    def frame() -> HeadFrame:
        return head_frame(f"{flask.request.script_root}{prefix}")

    def serve_vendor_file(name: str) -> flask.Response:
        if name == PAGE_NAME:
            answer = flask.Response(frame().page, mimetype="text/html")
            answer.headers[POLICY] = frame_policy()
            return answer
        if name == SCRIPT_NAME:
            return flask.Response(frame().script, mimetype="text/javascript")
        if name not in names:
            flask.abort(404)
        return flask.send_from_directory(VENDOR_FOLDER, name, mimetype="text/javascript")

    server.add_url_rule(f"{prefix}<name>", endpoint="headscope_vendor", view_func=serve_vendor_file)
