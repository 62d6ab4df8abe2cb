"""A damaged catalog, preset, lesson or log is read as far as it is one, or refused in one sentence."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.nasty import damaged, damaged_json
from utils.catalog.catalog import CATALOG_FOLDER, read_catalog
from utils.errors import UserFacingError
from utils.formation.log import load_history
from utils.teaching.lessons import LESSONS_FOLDER, load_lessons
from utils.teaching.presets import PRESETS_FOLDER, load_presets

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400


def check_sentence(message: str) -> None:
    assert message.strip() and "\n" not in message and len(message) < LONGEST, message


def read(reader: Callable[[], object]) -> bool:
    try:
        reader()
    except UserFacingError as error:
        check_sentence(error.message)
        check_sentence(error.remedy)
        return False
    return True


def test_catalogs(tmp_path: Path, amount: Callable[[int, int], int]) -> None:
    rng = random.Random(4)
    data = json.loads((CATALOG_FOLDER / "demo-gpt2.json").read_text(encoding="utf-8"))
    path = tmp_path / "demo-gpt2.json"
    found = []
    for _ in range(amount(30, 200)):
        path.write_bytes(damaged_json(data, rng))
        found.append(read(lambda: read_catalog(path)))
    assert not all(found)


def test_logs(tmp_path: Path, amount: Callable[[int, int], int]) -> None:
    rng = random.Random(5)
    lines = (ROOT / "models" / "demo-gpt2" / "training_log.jsonl").read_bytes().splitlines()[:6]
    found = []
    for _ in range(amount(30, 200)):
        damage = list(lines)
        place = rng.randrange(len(lines))
        damage[place] = damaged_json(json.loads(lines[place]), rng)
        (tmp_path / "training_log.jsonl").write_bytes(b"\n".join(damage))
        found.append(read(lambda: load_history("mine", tmp_path)))
    assert not all(found)


def test_presets_and_lessons(tmp_path: Path, amount: Callable[[int, int], int]) -> None:
    rng, problems = random.Random(6), 0
    presets = load_presets()
    for folder, load in ((PRESETS_FOLDER, load_presets), (LESSONS_FOLDER, None)):
        files = sorted(folder.glob("*.yaml"))
        own = tmp_path / folder.name
        own.mkdir()
        for number in range(amount(40, 200)):
            path = own / f"mine{number % 3}.yaml"
            path.write_bytes(damaged(rng.choice(files).read_bytes(), rng))
            found = load(own) if load else load_lessons(own, presets=presets)
            problems += len(found.problems)
            for each in found.problems:
                check_sentence(each)
    assert problems
