"""The scripts that BertViz wants from a CDN and that HeadScope serves itself: one row each.

The route (``callbacks/serving/vendor_route.py``) and the view (``utils/live/bertviz_page.py``) both read this
list, so that the address written into the page is always one that is served.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

VENDOR_FOLDER = Path(__file__).resolve().parents[2] / "vendor"

VENDOR_PREFIX = "/vendor/"
"""Where the files are served; starts and ends with a slash."""


def content_hash(content: bytes) -> str:
    """A name for some content: a browser may keep what stands at an address with it for good."""
    return hashlib.sha256(content).hexdigest()[:12]


@functools.cache
def _hash_of(path: Path) -> str:
    return content_hash(path.read_bytes())


@dataclass(frozen=True)
class VendorFile:
    """One vendored script.

    Attributes:
        file_name: Its name in ``vendor/`` and below the route.
        package: The npm package that it comes from.
        version: The package's version, which also stands in the head of the file.
        licence: File name of its licence text in ``vendor/licenses/``.
        cdn_address: What BertViz 1.4.1 writes into its HTML, to be replaced.
    """

    file_name: str
    package: str
    version: str
    licence: str
    cdn_address: str

    @property
    def path(self) -> Path:
        """The file on disk."""
        return VENDOR_FOLDER / self.file_name

    def address(self, prefix: str = VENDOR_PREFIX) -> str:
        """The address that takes the CDN address's place, below ``prefix``; another one for other content.

        require.js adds ``.js`` to its paths, but not to one with a question mark.
        """
        return f"{prefix}{self.file_name}?v={_hash_of(self.path)}"


VENDOR_FILES: tuple[VendorFile, ...] = (
    VendorFile(
        file_name="require.js",
        package="requirejs",
        version="2.3.6",
        licence="requirejs.txt",
        cdn_address="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js",
    ),
    VendorFile(
        file_name="d3.min.js",
        package="d3",
        version="5.7.0",
        licence="d3.txt",
        cdn_address="https://cdnjs.cloudflare.com/ajax/libs/d3/5.7.0/d3.min",
    ),
    VendorFile(
        file_name="jquery.min.js",
        package="jquery",
        version="2.1.4",
        licence="jquery.txt",
        cdn_address="https://cdnjs.cloudflare.com/ajax/libs/jquery/2.0.0/jquery.min",
    ),
)
