"""The colours of a role."""

from utils.roles.registry import HeadRole


def role_style(role: HeadRole) -> dict[str, str]:
    """The role's hue for light and dark as CSS variables."""
    return {"--hue-light": role.color, "--hue-dark": role.color_dark}
