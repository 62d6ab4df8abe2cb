"""What stands beside a catalog's scores: how it was made, and what the literature says about its heads."""

from dash import html

from components.section import section
from components.tables import scrolled_table
from utils.catalog.catalog import Catalog, Settings, analyzer_command
from utils.catalog.known_heads import KnownHeads
from utils.roles.registry import ROLES


def made_section(catalog: Catalog) -> html.Section:
    """How the catalog was made, so that it can be made again."""
    return section(
        "How it was made",
        "A role on test inputs is not all that a head does.",
        _settings_list(catalog),
        name="made",
    )


def _settings_list(catalog: Catalog) -> html.Dl:
    settings = catalog.settings
    inputs = "; ".join(
        f"{name}: {probe.sequences} sequences of {probe.shortest}"
        + (f" to {probe.longest}" if probe.longest != probe.shortest else "")
        + " tokens"
        for name, probe in settings.inputs.items()
    )
    thresholds = "; ".join(
        f"{ROLES[role].display_name} {limits.threshold} (lower: {limits.lower_threshold})"
        for role, limits in settings.thresholds.items()
    )
    rows = (
        ("Model", f"{catalog.model_name}: {catalog.num_layers} layers of {catalog.num_heads} heads"),
        ("Made", f"{catalog.analysis_date} on {settings.device}, seed {settings.seed}"),
        ("Start token", _start(settings)),
        ("Test inputs", inputs),
        ("Thresholds", thresholds),
        ("Versions", ", ".join(f"{name} {version}" for name, version in settings.versions.items())),
        ("Command", html.Code(analyzer_command(catalog.model_name))),
    )
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(message)]) for name, message in rows], className="hs-facts"
    )


def known_section(known: KnownHeads) -> html.Section:
    """What the literature says about this model's heads, for comparison."""
    rows = [
        html.Tr(
            [
                html.Th(ROLES[role].display_name, scope="row"),
                html.Td(", ".join(str(head) for head in heads)),
            ]
        )
        for role, heads in known.heads.items()
    ]
    return section(
        "Known from the literature",
        "Named in papers, found by other means than ours.",
        scrolled_table("Heads known from the literature", ("role", "heads"), rows),
        html.P(f"Sources: {known.sources}", className="hs-hint"),
        name="known",
    )


def _start(settings: Settings) -> str:
    """The token that goes first, and how well the candidates for it did where there were several."""
    chosen = "none" if settings.bos_id is None else f"token {settings.bos_id} before every text"
    if not settings.start_losses:
        return chosen
    losses = ", ".join(
        f"{candidate.token or 'nothing'} {candidate.loss:.2f}" for candidate in settings.start_losses
    )
    return f"{chosen}, with which plain sentences are predicted best (loss in nats a token: {losses})"
