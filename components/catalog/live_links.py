"""Ways from a catalog to the live page: a head of it, on a prompt on which the role can be seen."""

from typing import Any

from dash import dcc

from components.addresses import address
from utils.catalog.catalog import Catalog
from utils.errors import UserFacingError
from utils.heads import Head
from utils.links.page_links import to_query
from utils.links.page_state import PageState


def live_address(catalog: Catalog, role: str, head: Head) -> str:
    """The address of the live page with a head chosen, on the role's first suggested prompt."""
    prompts = catalog.categories[role].suggested_prompts
    state = PageState(model=catalog.model_name, prompt=prompts[0] if prompts else None, head=head)
    try:
        return address(f"/{to_query(state)}")
    except UserFacingError:
        # A prompt that no link can hold: the page begins with its own.
        return address(f"/{to_query(PageState(model=catalog.model_name, head=head))}")


def head_link(catalog: Catalog, role: str, head: Head, live: bool) -> Any:
    """A head's name; as a link where the live page has its model.

    Args:
        catalog: of the model.
        role: the role that is shown.
        head: the head.
        live: whether the live page can open the model.
    """
    if not live:
        return str(head)
    return dcc.Link(
        str(head),
        href=live_address(catalog, role, head),
        title=f"Open {head} on the live page",
        className="hs-catalog-head",
    )
