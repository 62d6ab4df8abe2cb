"""Real filings: a table with holes, texts from four kinds of source, truncation that cuts answers away."""

from pathlib import Path

import pytest

from retrieval.filings.generated import MAIN_TASKS
from retrieval.filings.real import (
    COLUMNS,
    RealFilings,
    load_real_filings,
    read_filings,
    read_truth,
    window_sample,
)
from retrieval.filings.texts import load_texts
from tests.fixtures.real_filings import (
    ALPHA,
    BETA,
    FILLER,
    HEAD,
    TEXTS,
    TRUTH,
    write_folder,
    write_rows,
    write_truth,
)
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel


def words(text: str) -> int:
    """A token a word, and one before them."""
    return 1 + len(text.split())


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_truth(tmp_path / "truth.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "texts" / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path / "texts"


def span(sample, name: str) -> str:
    start, end = sample.spans[name]
    return sample.prompt[start:end]


def test_samples_of_whole_filings(truth: Path, folder: Path) -> None:
    real = load_real_filings(truth, folder)
    assert list(real.samples) == list(MAIN_TASKS) and real.duplicates == 1 and real.truncated == 0
    assert [sample.key for sample in real.samples["inc_state"]] == [
        "inc_state-alpha_1993",
        "inc_state-beta_1993",
    ]
    state, year = real.samples["inc_state"][0], real.samples["inc_year"][0]
    count, hq = real.samples["employee_count"][0], real.samples["hq_state"][0]
    for sample, answer, needle in (
        (state, "Delaware", "Alpha Inc. was incorporated in Delaware in 1929."),
        (year, "1929", "Alpha Inc. was incorporated in Delaware in 1929."),
        (count, "1200", "It has 1,200 employees."),
        (hq, "Ohio", "Its executive offices are in Ohio."),
    ):
        assert sample.answer == answer and span(sample, "needle") == sample.needle == needle
        assert span(sample, "answer").replace(",", "") == answer
        assert span(sample, "section") == sample.document == " ".join(ALPHA.split())
        assert sample.prompt.startswith(sample.document + "\n\nQuestion: ")
        assert sample.prompt.endswith(f"{span(sample, 'question')}\nAnswer in one word:")
        assert sample.facts == {
            "inc_state": "Delaware",
            "inc_year": "1929",
            "employee_count": "1200",
            "hq_state": "Ohio",
        }
        assert sample.depth is not None and 0 <= sample.depth < 0.1
    assert real.samples["inc_state"][1].depth == 1


def test_all_that_is_left_out_or_repaired_is_counted(truth: Path, folder: Path) -> None:
    real = load_real_filings(truth, folder)

    def counts(task: str) -> dict[str, int]:
        return {name: count for name, count in real.counts[task].as_dict().items() if count}

    assert counts("inc_state") == {"rows": 4, "multi_valued": 1, "no_text": 1, "samples": 2}
    assert counts("inc_year") == {"rows": 4, "null": 1, "repaired": 2, "no_text": 1, "samples": 2}
    assert counts("employee_count") == {"rows": 4, "null": 1, "unreadable": 1, "repaired": 1, "samples": 2}
    # Gamma's headquarters are stated by no sentence that speaks of them.
    assert counts("hq_state") == {"rows": 4, "null": 1, "no_text": 1, "needle_unknown": 1, "samples": 2}
    gamma = real.samples["hq_state"][1]
    assert set(gamma.spans) == {"section", "question"} and gamma.depth is None
    for one in real.counts.values():
        left_out = one.null + one.multi_valued + one.unreadable + one.no_text + one.answer_cut
        assert one.rows == left_out + one.samples


def test_truncation_cuts_at_a_word_and_counts_the_answers_that_it_takes(truth: Path, folder: Path) -> None:
    whole = load_real_filings(truth, folder)
    for length in (60, 100, 237):
        real = load_real_filings(truth, folder, length=length, count_tokens=words)
        assert real.truncated == 2
        for task, samples in real.samples.items():
            assert real.counts[task].answer_cut == len(whole.samples[task]) - len(samples)
            for sample in samples:
                full = next(one for one in whole.samples[task] if one.key == sample.key)
                assert words(sample.prompt) <= length and full.document.startswith(sample.document)
                if sample.document != full.document:
                    assert words(sample.prompt) == length and full.document[len(sample.document)] == " "
        assert [sample.key for sample in real.samples["inc_state"]] == ["inc_state-alpha_1993"]
    assert load_real_filings(truth, folder, length=2000, count_tokens=words).truncated == 0


def test_the_answer_may_be_cut_though_its_word_is_seen_elsewhere(tmp_path: Path) -> None:
    truth = write_truth(
        tmp_path / "t.csv", [("a", "Ohio", "", "", ""), ("b", "Ohio", "", "", ""), ("c", "Utah", "", "", "")]
    )
    (tmp_path / "texts").mkdir()
    early = "It sells in Ohio. "
    late = "It was incorporated in Ohio."
    (tmp_path / "texts" / "a.txt").write_text(early + FILLER + " " + late, encoding="utf-8")
    (tmp_path / "texts" / "b.txt").write_text(late + " " + FILLER, encoding="utf-8")
    (tmp_path / "texts" / "c.txt").write_text(FILLER, encoding="utf-8")
    real = load_real_filings(truth, tmp_path / "texts", tasks=["inc_state"], length=60, count_tokens=words)
    counts = real.counts["inc_state"]
    assert (counts.answer_cut, counts.needle_unknown, counts.answer_unseen, counts.samples) == (1, 1, 1, 2)
    assert [sample.key for sample in real.samples["inc_state"]] == ["inc_state-b", "inc_state-c"]


def test_a_models_own_tokens_are_counted(tiny_gpt2: LoadedModel, truth: Path, folder: Path) -> None:
    tokenizer = tiny_gpt2.tokenizer

    def count(text: str) -> int:
        return 1 + len(tokenizer(text, add_special_tokens=False)["input_ids"])

    real = load_real_filings(truth, folder, length=150, count_tokens=count)
    for samples in real.samples.values():
        for sample in samples:
            assert count(sample.prompt) <= 150


@pytest.mark.parametrize("kind", ["jsonl", "dataset"])
def test_texts_from_other_sources_are_the_same(kind: str, truth: Path, folder: Path, tmp_path: Path) -> None:
    expected = load_real_filings(truth, folder)
    if kind == "jsonl":
        source: Path = write_rows(tmp_path / "sections.jsonl")
    else:
        source = tmp_path / "dataset"
        source.mkdir()
        write_rows(source / "train.jsonl")
    assert load_real_filings(truth, source) == expected
    assert load_texts(source, ["alpha_1993"], section="year") == {"alpha_1993": "1993"}


@pytest.mark.parametrize(
    ("task", "cell", "value", "problem", "repaired"),
    [
        ("inc_state", "Delaware", "Delaware", None, False),
        ("inc_state", " New  York ", "New York", None, True),
        ("inc_state", "Ohio; ohio", "Ohio", None, True),
        ("inc_state", "Ohio; NULL", "Ohio", None, True),
        ("inc_state", "Ohio; | Ohio", "Ohio", None, True),
        ("inc_state", "Ohio ;\n\n; Utah", None, "multi_valued", False),
        ("inc_state", "Delaware; New York", None, "multi_valued", False),
        ("inc_state", "Delaware|Utah", None, "multi_valued", False),
        ("hq_state", "Boston, Massachusetts", None, "multi_valued", False),
        ("inc_year", "1929.0", "1929", None, True),
        ("inc_year", "1929", "1929", None, False),
        ("inc_year", "1929.0; 1930.0", None, "multi_valued", False),
        ("inc_year", "1929.0/1929", "1929", None, True),
        ("inc_year", "1929; ; 1929", "1929", None, True),
        ("inc_year", "1" * 5000, None, "unreadable", False),
        ("employee_count", "1" + ",111" * 5000, None, "unreadable", False),
        ("inc_year", "1929.5", None, "unreadable", False),
        ("employee_count", "12,345", "12345", None, True),
        ("employee_count", "1,2", None, "unreadable", False),
        ("employee_count", "some", None, "unreadable", False),
        ("employee_count", "-", None, "null", False),
        *(
            (key, cell, None, "null", False)
            for key in COLUMNS
            for cell in ("NULL", "", " ", "nan", "N/A", ";")
        ),
        ("inc_state", None, None, "null", False),
    ],
)
def test_cells_of_the_truth(
    task: str, cell: str | None, value: str | None, problem: str | None, repaired: bool
) -> None:
    truth = read_truth(task, cell)
    assert (truth.value, truth.problem, truth.repaired) == (value, problem, repaired)


def refused(match: str, *arguments, **options) -> str:
    with pytest.raises(UserFacingError, match=match) as caught:
        load_real_filings(*arguments, **options)
    assert caught.value.remedy.endswith(".")
    return caught.value.remedy


def test_what_is_missing_is_told(truth: Path, folder: Path, tmp_path: Path) -> None:
    refused(r"There is no ground truth .*none\.csv", tmp_path / "none.csv", folder)
    lacking = write_truth(tmp_path / "lacking.csv", [("a", "b")], ("filename", COLUMNS["inc_state"]))
    assert "Its columns are: filename," in refused(r"no column 'original_Inc_year_truth'", lacking, folder)
    assert not refused(r"no column 'filename'", write_truth(tmp_path / "e.csv", [], ()), folder).count("[]")
    refused(r"no column for the question hq_city", truth, folder, tasks=["hq_city"])
    refused(r"There is no file or folder .*nowhere", truth, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused(r"holds no texts", truth, tmp_path / "empty")
    refused(r"too few for a filing", truth, folder, length=5, count_tokens=words)
    with pytest.raises(ValueError, match="count_tokens"):
        load_real_filings(truth, folder, length=50)
    assert isinstance(load_real_filings(truth, folder, tasks=["inc_year"]), RealFilings)


def test_a_question_without_samples_is_told_with_the_counts(folder: Path, tmp_path: Path) -> None:
    empty = write_truth(tmp_path / "empty.csv", [("alpha_1993.txt", "Delaware", "NULL", "", "nan")])
    refused(r"No filing is left for the question inc_year \(1 rows, 1 null\)", empty, folder)
    none = write_truth(tmp_path / "none.csv", [])
    refused(r"inc_state \(the table is empty\)", none, folder)
    absent = write_truth(tmp_path / "absent.csv", [("zeta", "Ohio", "1", "1", "Ohio")])
    refused(r"inc_state \(1 rows, 1 no_text\)", absent, folder)


def test_damaged_texts_are_told(truth: Path, folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl")
    assert "Its fields are: filename, section_1, year" in refused(
        r"Row 1 of .* has no field 'section_7'", truth, rows, section="section_7"
    )
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"filename": "a", "section_1": "b"}\n{"filename": ', encoding="utf-8")
    refused(r"Line 2 of .*bad\.jsonl is not JSON", truth, bad)
    bad.write_text("[1]\n", encoding="utf-8")
    refused(r"Row 1 of .* is not an object", truth, bad)
    (folder / "alpha_1993.txt").write_text("<HTML><body>x</body></html>", encoding="utf-8")
    refused(r"The text of alpha_1993 holds HTML", truth, folder)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "train.parquet").write_bytes(b"no parquet")
    refused(r"The dataset .*broken cannot be loaded", truth, broken)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"filename,\xff\xfe\n")
    refused(r"cannot be read", binary, folder)


LONG = f"{FILLER} {BETA} {FILLER} It has 85 outlets and employs 90 men in Ohio."


def windows(tmp_path: Path, length: int, seed: int = 0, text: str = LONG) -> RealFilings:
    rows = (
        ("beta_1993.txt", "Texas", "1950.0", "85", "NULL"),
        ("alpha_1993.txt", "Delaware", "1929", "1200", "Ohio"),
    )
    folder = tmp_path / "long"
    folder.mkdir(exist_ok=True)
    (folder / "beta_1993.txt").write_text(text, encoding="utf-8")
    (folder / "alpha_1993.txt").write_text(ALPHA, encoding="utf-8")
    truth = write_truth(tmp_path / "long.csv", rows)
    return load_real_filings(truth, folder, length=length, count_tokens=words, window=True, seed=seed)


def test_a_window_holds_the_needle_and_what_stands_around_it(tmp_path: Path) -> None:
    sample = windows(tmp_path, 120).samples["inc_state"][0]
    assert words(sample.prompt) == 120
    assert sample.document in " ".join(LONG.split())
    assert "Texas" in sample.needle and span(sample, "answer") == "Texas"
    assert sample.depth is not None and 0 < sample.depth < 1
    # The head of the section, which a cut at the same length would leave, does not tell it.
    assert "Texas" not in " ".join(LONG.split()[:120])


def test_a_windows_depth_is_drawn_from_the_seed(tmp_path: Path) -> None:
    depths = [windows(tmp_path, 120, seed).samples["inc_state"][0].depth for seed in range(8)]
    assert len(set(depths)) > 4
    assert depths[3] == windows(tmp_path, 120, 3).samples["inc_state"][0].depth


def test_a_window_at_an_end_of_the_filing_is_filled_from_the_other_side(tmp_path: Path) -> None:
    for text in (f"{BETA[-90:]} {FILLER}", f"{FILLER} {BETA[-90:]}"):
        for seed in range(6):
            sample = windows(tmp_path, 100, seed, text).samples["inc_state"][0]
            assert 97 <= words(sample.prompt) <= 100 and "Texas" in sample.needle
    short = windows(tmp_path, 5000).samples["inc_state"][0]
    assert short.document == " ".join(LONG.split())


def test_distractors_in_a_window_are_counted(tmp_path: Path) -> None:
    whole = windows(tmp_path, 5000)
    beta = {
        task: samples[0] for task, samples in whole.samples.items() if samples[0].key.endswith("beta_1993")
    }
    # "Ohio" for the state; no other year; of people "85 outlets and employs 90 men" tells another number.
    assert {task: sample.distractors for task, sample in beta.items()} == {
        "inc_state": 1,
        "inc_year": 0,
        "employee_count": 1,
    }
    assert whole.counts["inc_state"].distracted == 2  # Alpha's offices are in Ohio
    assert windows(tmp_path, 100).samples["inc_year"][0].distractors == 0


def test_a_filing_whose_needle_is_not_found_has_no_window(tmp_path: Path) -> None:
    found = windows(tmp_path, 100, text=f"Lamps from Texas. {FILLER} 1950. {FILLER} 85.")
    assert found.counts["inc_state"].no_needle == 1 and found.counts["inc_state"].samples == 1
    with pytest.raises(UserFacingError, match="tokens are too few for the sentence"):
        windows(tmp_path, 12)
    with pytest.raises(ValueError, match="window needs length"):
        load_real_filings(tmp_path / "long.csv", tmp_path / "long", window=True)


def test_companies_are_known_by_their_number_or_each_filing_is_its_own(
    truth: Path, folder: Path, tmp_path: Path
) -> None:
    assert [one.company for one in load_real_filings(truth, folder).samples["inc_state"]] == [
        "alpha_1993",
        "beta_1993",
    ]
    rows = [(*row, "77") for row in TRUTH[:2]]
    numbered = write_truth(tmp_path / "numbered.csv", rows, (*HEAD, "cik"))
    samples = load_real_filings(numbered, folder, tasks=["inc_state"]).samples["inc_state"]
    assert [one.company for one in samples] == ["77", "77"]


def test_a_folder_of_filings_has_what_its_texts_say(tmp_path: Path) -> None:
    filings = read_filings(write_folder(tmp_path))
    # Gamma's two states cannot be used, and no sentence of it tells where its headquarters are.
    assert {name: dict(one.truths) for name, one in filings.items()} == {
        "alpha_1993": {
            "inc_state": "Delaware",
            "inc_year": "1929",
            "employee_count": "1200",
            "hq_state": "Ohio",
        },
        "beta_1993": {"inc_state": "Texas", "inc_year": "1950", "employee_count": "85"},
    }
    beta = filings["beta_1993"]
    sample = window_sample(beta, "inc_year", 60, 0.5, words)
    assert words(sample.prompt) <= 60 and sample.answer == span(sample, "answer") == "1950"
    assert span(sample, "needle") == BETA[BETA.index("It was incorporated") :]
    with pytest.raises(UserFacingError, match="beta_1993 does not answer"):
        window_sample(beta, "hq_state", 60, 0.5, words)


@pytest.mark.parametrize("file", ["truth.csv", "texts.jsonl"])
def test_a_folder_without_its_files_is_one_sentence(tmp_path: Path, file: str) -> None:
    (write_folder(tmp_path) / file).unlink()
    with pytest.raises(UserFacingError, match=f"has no {file}"):
        read_filings(tmp_path)
    write_folder(tmp_path)
    write_truth(tmp_path / "truth.csv", rows=[("omega.txt", "Ohio", "1900", "5", "Ohio")])
    with pytest.raises(UserFacingError, match="No filing of the folder"):
        read_filings(tmp_path)
