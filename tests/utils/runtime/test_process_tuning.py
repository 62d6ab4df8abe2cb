"""What a serving process asks of its C libraries."""

from types import SimpleNamespace

from utils.runtime.process_tuning import tune_process


def glibc(asked: list[tuple[int, int]]) -> SimpleNamespace:
    return SimpleNamespace(
        gnu_get_libc_version=lambda: b"2.36",
        mallopt=lambda parameter, value: asked.append((parameter, value)) or 1,
    )


def test_malloc_openmp_and_mkl_are_asked():
    asked: list[tuple[int, int]] = []
    environment: dict[str, str] = {}
    done = tune_process(environment, glibc(asked))
    assert asked == [(-1, 131_072), (-3, 131_072), (-8, 2)]
    assert done["MALLOC_ARENA_MAX"] == 2 and environment == {
        "GOMP_SPINCOUNT": "1000",
        "MKL_DISABLE_FAST_MM": "1",
    }


def test_what_the_operator_set_stays():
    asked: list[tuple[int, int]] = []
    environment = {"MALLOC_ARENA_MAX": "8", "OMP_WAIT_POLICY": "ACTIVE", "MKL_DISABLE_FAST_MM": "0"}
    assert set(tune_process(environment, glibc(asked))) == {
        "MALLOC_TRIM_THRESHOLD_",
        "MALLOC_MMAP_THRESHOLD_",
    }
    assert len(asked) == 2 and len(environment) == 3


def test_another_c_library_is_left_alone():
    assert tune_process({"GOMP_SPINCOUNT": "5", "MKL_DISABLE_FAST_MM": "1"}, SimpleNamespace()) == {}
