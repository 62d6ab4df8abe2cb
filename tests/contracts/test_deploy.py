"""The files for operators name settings that there are, and their programs can read them."""

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from callbacks.serving.settings import Settings, build_parser, parse_settings, variable

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = ("deploy/headscope@.service", "deploy/settings.env", "deploy/nginx.conf", "docs/OPERATING.md")


@pytest.mark.parametrize("name", FILES)
def test_every_setting_that_is_named_is_one(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    known = {variable(field) for field in fields(Settings)}
    assert set(re.findall(r"HEADSCOPE_[A-Z_]+", text)) <= known
    # What `make serve` is told.
    said = set(re.findall(r"\b([A-Z_]+)=", " ".join(re.findall(r"make serve (.*)", text))))
    assert {f"HEADSCOPE_{key}" for key in said} <= known


def test_the_settings_of_the_example_can_be_read():
    lines = (DEPLOY / "settings.env").read_text(encoding="utf-8").splitlines()
    given = dict(re.findall(r"^#?(HEADSCOPE_\w+)=(.*)$", "\n".join(lines), flags=re.MULTILINE))
    settings = parse_settings(build_parser(), [], given)
    assert settings.prefix == "/headscope" and settings.metrics and settings.cache


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="There is no systemd-analyze here.")
def test_systemd_understands_the_unit(tmp_path: Path):
    unit = tmp_path / "headscope@8050.service"
    text = (DEPLOY / "headscope@.service").read_text(encoding="utf-8")
    # Where this checkout is, and a user that is there.
    unit.write_text(re.sub(r"(User|Group)=headscope", r"\1=root", text.replace("/opt/headscope", str(ROOT))))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="There is no nginx here.")
def test_nginx_understands_the_example(tmp_path: Path):
    site = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    # A port that needs no administrator.
    (tmp_path / "site.conf").write_text(site.replace("listen 80;", "listen 127.0.0.1:8099;"))
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}"
        f" http {{ access_log off; include {tmp_path}/site.conf; }}"
    )
    told = subprocess.run(["nginx", "-t", "-c", str(main)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
