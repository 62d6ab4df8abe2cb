import copy
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from retrieval.rankings.methods import METHODS
from tests.fixtures.catalogs import make_catalog
from tests.fixtures.model_folders import FOLDER_NAMES
from utils.catalog.catalog import (
    CATALOG_FOLDER,
    SCHEMA_VERSION,
    Catalog,
    analyzer_command,
    catalog_names,
    catalog_path,
    check_fit,
    load_catalog,
    merge_existing,
    read_catalog,
    save_catalog,
)
from utils.errors import UserFacingError
from utils.models.files import WeightFile, weights_digest
from utils.models.loading import load_model
from utils.models.store import ModelStore
from utils.roles.registry import ROLES

MEASURED = [key for key, role in ROLES.items() if role.measured]
TABLE = [[0.1, 0.2, 0.9], [0.0, 1.0, 0.5]]


def _category(key: str) -> dict[str, Any]:
    role = ROLES[key]
    return {
        "display_name": role.display_name,
        "description": role.description,
        "explanation": role.explanation,
        "icon": role.icon,
        "requires_repetition": role.requires_repetition,
        "suggested_prompts": ["a “b” a"],
        "top_heads": [{"layer": 1, "head": 2, "score": 0.5}],
    }


def catalog_data() -> dict[str, Any]:
    """A catalog of 2 layers x 3 heads as plain data, which the caller may change."""
    return copy.deepcopy(
        {
            "schema_version": SCHEMA_VERSION,
            "model_name": "someone/some-model",
            "num_layers": 2,
            "num_heads": 3,
            "analysis_date": "2025-11-21T01:30:13+00:00",
            "settings": {
                "seed": 0,
                "sequences": 50,
                "device": "cpu",
                "dtype": "float32",
                "bos_id": None,
                "start_losses": None,
                "special_ids": [0],
                "windows": [4, None],
                "inputs": {"natural": {"sequences": 24, "shortest": 12, "longest": 20}},
                "counted": {},
                "thresholds": {key: {"threshold": 0.4, "lower_threshold": 0.25} for key in MEASURED},
                "versions": {"torch": "2.13.0"},
                "weights_sha256": None,
            },
            "categories": {key: _category(key) for key in ROLES},
            "all_scores": dict.fromkeys(MEASURED, TABLE),
            "all_scores_std": dict.fromkeys(MEASURED, TABLE),
            "probe_scores": {"duplicate_token": {"repeated": TABLE, "word_lists": TABLE}},
            "output_factors": {"copying": {"mass": TABLE, "effect": [[-1.5, 2.0, 0.0]] * 2}},
            "rankings": {method: [] for method in METHODS},
        }
    )


def _written(folder: Path, data: Any) -> Path:
    path = folder / "some-model.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    catalog = Catalog.model_validate(catalog_data())
    path = save_catalog(catalog, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "someone--some-model.json"
    assert path == catalog_path("someone/some-model", tmp_path / "new" / "folder")
    assert load_catalog(path) == catalog
    assert json.loads(path.read_text(encoding="utf-8")) == catalog_data()


def test_a_failed_save_leaves_the_old_catalog(tmp_path: Path) -> None:
    old = save_catalog(Catalog.model_validate(catalog_data()), tmp_path)
    before = old.read_bytes()
    # "\ud800" is half a character, which no UTF-8 file can hold: the write fails in the middle.
    broken = Catalog.model_validate(catalog_data()).model_copy(update={"analysis_date": "\ud800"})
    with pytest.raises(ValueError):
        save_catalog(broken, tmp_path)
    assert old.read_bytes() == before
    assert list(tmp_path.iterdir()) == [old]


def test_a_missing_catalog_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        load_catalog(catalog_path("someone/some-model", tmp_path))
    assert "someone/some-model" in caught.value.message
    assert "scripts/analyze_heads.py --model someone/some-model" in caught.value.remedy
    assert str(tmp_path) not in str(caught.value)


def _set(*path: Any, value: Any) -> Any:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


DAMAGE = {
    "version": _set("schema_version", value=SCHEMA_VERSION + 1),
    "extra field": _set("colour", value="red"),
    "extra field in a category": _set("categories", "induction", "colour", value="red"),
    "unknown role": _set("categories", "unheard_of", value=_category("induction")),
    "ranking without a name": _set("rankings", "", value=[]),
    "ranking by what is no key": _set("rankings", "<b>QRHead</b>", value=[]),
    "date": _set("analysis_date", value="yesterday"),
    "number as text": _set("num_layers", value="2"),
    "no layers": _set("num_layers", value=0),
    "a layer too few": _set("all_scores", "induction", value=TABLE[:1]),
    "a head too few": _set("all_scores_std", "induction", value=[row[:2] for row in TABLE]),
    "probe of another shape": _set("probe_scores", "duplicate_token", "repeated", value=[[0.5]]),
    "score above 1": _set("all_scores", "induction", 0, 0, value=1.5),
    "score below 0": _set("categories", "induction", "top_heads", 0, "score", value=-0.1),
    "score not a number": _set("all_scores", "induction", 0, 0, value=float("nan")),
    "no scores of a role": _set("all_scores", value={}),
    "head that the model lacks": _set("categories", "induction", "top_heads", 0, "head", value=3),
    "layer that the model lacks": _set("categories", "induction", "top_heads", 0, "layer", value=2),
    "windows of another model": _set("settings", "windows", value=[4, None, 4]),
    "a window without a token": _set("settings", "windows", value=[0, None]),
    "negative head": _set("categories", "induction", "top_heads", 0, "head", value=-1),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_catalog_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    data = catalog_data()
    DAMAGE[kind](data)
    with pytest.raises(UserFacingError, match=r"some-model\.json is damaged") as caught:
        load_catalog(_written(tmp_path, data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff\xfe{}", b"[" * 100_000, b'{"schema_version": 1}'],
    ids=["empty", "cut off", "null", "list", "not UTF-8", "nested", "fields missing"],
)
def test_what_is_no_catalog_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some-model.json"
    path.write_bytes(content)
    with pytest.raises(UserFacingError, match="is damaged") as caught:
        load_catalog(path)
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_catalogs_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some-model.json").mkdir()
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_catalog(tmp_path / "some-model.json")


def test_another_models_shape_is_refused() -> None:
    catalog = Catalog.model_validate(catalog_data())
    check_fit(catalog, 2, 3)
    for n_layers, n_heads in ((3, 2), (2, 4), (1, 3)):
        with pytest.raises(UserFacingError, match="2 layers x 3 heads") as caught:
            check_fit(catalog, n_layers, n_heads)
        assert f"{n_layers} x {n_heads}" in caught.value.message


def test_a_catalog_under_another_models_name_is_refused(tmp_path: Path) -> None:
    save_catalog(Catalog.model_validate(catalog_data()), tmp_path)
    own = next(tmp_path.iterdir())
    other = own.rename(tmp_path / "other--model.json")
    with pytest.raises(UserFacingError, match="is of another model, someone/some-model") as caught:
        load_catalog(other)
    assert "--model other/model" in caught.value.remedy


def test_a_catalog_made_with_other_weights_is_refused() -> None:
    data = catalog_data()
    check_fit(Catalog.model_validate(data), 2, 3, lambda: "b" * 64)  # none is recorded
    data["settings"]["weights_sha256"] = "a" * 64
    catalog = Catalog.model_validate(data)
    check_fit(catalog, 2, 3)  # none is known
    check_fit(catalog, 2, 3, lambda: "a" * 64)
    with pytest.raises(UserFacingError, match="was made with other weights"):
        check_fit(catalog, 2, 3, lambda: "b" * 64)


def test_a_catalog_that_records_no_weights_is_good(tmp_path: Path) -> None:
    data = catalog_data()
    del data["settings"]["weights_sha256"]
    path = _written(tmp_path, data).rename(tmp_path / "someone--some-model.json")
    assert load_catalog(path).settings.weights_sha256 is None


def test_the_digest_is_over_all_weight_files_and_needs_each(tmp_path: Path) -> None:
    paths = [tmp_path / "model-1.safetensors", tmp_path / "model-2.safetensors"]
    for path in paths:
        path.write_bytes(path.name.encode())
    one, two = (WeightFile.at(path) for path in paths)
    digest = weights_digest([one, two])
    assert digest == weights_digest([one, two])
    assert len({digest, weights_digest([one]), weights_digest([two]), weights_digest([two, one])}) == 4
    paths[1].unlink()
    with pytest.raises(UserFacingError, match=r"model-2\.safetensors cannot be read again"):
        weights_digest([one, two])


def test_every_bundled_model_has_its_catalog() -> None:
    for name in ModelStore().names():
        catalog = load_catalog(catalog_path(name, CATALOG_FOLDER))
        loaded = load_model(name, CATALOG_FOLDER.parent / "models" / name)
        digest = weights_digest(loaded.weight_files)
        assert catalog.settings.weights_sha256 == digest
        check_fit(catalog, loaded.geometry.n_layers, loaded.geometry.n_heads)
        assert catalog.model_name == name
        assert set(catalog.categories) == set(ROLES)
        assert catalog.settings.bos_id == loaded.bos_id
        assert set(catalog.settings.special_ids) == loaded.special_ids


def test_an_unchanged_catalog_keeps_its_date_and_rankings(tmp_path: Path) -> None:
    ranked = {"rankings": {"qrhead": [{"method": "qrhead"}]}, "analysis_date": "2025-01-01"}
    earlier = Catalog.model_validate(catalog_data()).model_copy(update=ranked)
    again = earlier.model_copy(update={"rankings": {"qrhead": []}, "analysis_date": "2026-01-01"})
    assert merge_existing(again, tmp_path) == (again, "")
    save_catalog(earlier, tmp_path)
    assert merge_existing(again, tmp_path) == (earlier, "")
    # With other scores the rankings no longer hold.
    scores = {**again.all_scores, "diffuse": [[0.5] * again.num_heads] * again.num_layers}
    other = again.model_copy(update={"all_scores": scores})
    cached, lost = merge_existing(other, tmp_path)
    assert cached == other and "rankings are dropped" in lost


def test_new_rankings_replace_the_earlier_ones_unless_only_their_day_differs(tmp_path: Path) -> None:
    def ranked(day: str, score: float) -> Catalog:
        record: dict[str, Any] = {"method": "qrhead", "timestamp": day, "score": score}
        update = {"rankings": {"qrhead": [record]}, "analysis_date": day}
        return Catalog.model_validate(catalog_data()).model_copy(update=update)

    earlier = ranked("2025-01-01", 0.5)
    save_catalog(earlier, tmp_path)
    assert merge_existing(ranked("2026-01-01", 0.5), tmp_path) == (earlier, "")
    new = ranked("2026-01-01", 0.6)
    assert merge_existing(new, tmp_path) == (new, "")


@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_a_catalog_under_any_name_is_found_again(tmp_path: Path, name: str) -> None:
    path = save_catalog(make_catalog(name, 1, 2, {}), tmp_path)
    assert path == catalog_path(name, tmp_path) and load_catalog(path).model_name == name
    assert catalog_names(tmp_path) == [name]
    # What the page says to type is one word for a shell.
    assert shlex.split(analyzer_command(name))[-2:] == ["--model", name]


def test_a_huge_catalog_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    with path.open("wb") as file:
        file.truncate(50 * 2**20)
    with pytest.raises(UserFacingError, match="too large: at most 16 MB"):
        read_catalog(path)
