"""Dash wiring: parse what the browser holds, call the domain, call the component."""
