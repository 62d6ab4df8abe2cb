"""What a page is about to ask for, begun before it asks.

A click's first answer tells the browser what is chosen now; only then do the page's parts ask for what
follows from it. The model need not wait for that: who asks joins the work that is under way.
"""

import contextvars
import threading
from collections.abc import Callable

from utils.errors import UserFacingError
from utils.runtime.turns import BusyError, ReplacedError

# Pieces of work begun at once; beyond that a page's own requests do it.
MAX_AHEAD = 16
_free = threading.BoundedSemaphore(MAX_AHEAD)


def begin(work: Callable[[], object]) -> None:
    """Do `work` in a thread, for the one whom this thread works for; its errors hears who asks for it."""
    if not _free.acquire(blocking=False):
        return
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(work)
        except (UserFacingError, BusyError, ReplacedError):
            pass
        finally:
            _free.release()

    threading.Thread(target=run, name="ahead", daemon=True).start()
