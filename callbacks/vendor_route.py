"""Serves the vendored scripts of ``utils/live/vendor_files.py``. Flask only: no Dash here."""

import flask

from utils.live.vendor_files import VENDOR_FILES, VENDOR_FOLDER, VENDOR_PREFIX

CACHE_SECONDS = 86_400
"""The files change only with a release, and one lies behind each view of a head that a student opens."""


def register_vendor_route(server: flask.Flask, prefix: str = VENDOR_PREFIX) -> None:
    """Add the route for the vendored scripts to a server.

    Only the files in the list are served; any other name below the prefix is a 404.

    Args:
        server: The Flask server under the Dash app (``app.server``).
        prefix: Where to serve them; starts and ends with a slash. The same as the view's ``vendor_prefix``.
    """
    names = frozenset(vendor_file.file_name for vendor_file in VENDOR_FILES)

    def serve_vendor_file(name: str) -> flask.Response:
        if name not in names:
            flask.abort(404)
        return flask.send_from_directory(
            VENDOR_FOLDER, name, mimetype="text/javascript", max_age=CACHE_SECONDS
        )

    server.add_url_rule(f"{prefix}<name>", endpoint="headscope_vendor", view_func=serve_vendor_file)
