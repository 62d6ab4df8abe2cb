"""Jobs: one a key, progress, cancelling, failures."""

import threading
from types import SimpleNamespace

import pytest

from utils.errors import UserFacingError
from utils.runtime.jobs import (
    GONE_SECONDS,
    REMEMBERED,
    TOO_MANY,
    UNFORESEEN,
    JobProgress,
    Jobs,
    JobView,
    Progress,
    leave_everything,
    stop_all,
)

PATIENCE = 20


def ended(jobs: Jobs, key: str) -> JobView:
    """The view of a job that is about to end."""
    deadline = threading.Event()
    for _ in range(PATIENCE * 100):
        view = jobs.view(key)
        if view is not None and view.ended:
            return view
        deadline.wait(0.01)
    raise AssertionError(f"the job {key} did not end")


class Work:
    """Work of two pieces that stops between them until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.half = threading.Event()
        self.go = threading.Event()

    def __call__(self, progress: Progress) -> None:
        self.runs += 1
        progress("pieces", 1, 2)
        self.half.set()
        assert self.go.wait(PATIENCE)
        progress("pieces", 2, 2)


def test_a_job_tells_how_far_it_is_and_that_it_is_done() -> None:
    jobs, work = Jobs(), Work()
    assert jobs.view("a") is None
    jobs.start("a", work)
    assert work.half.wait(PATIENCE)
    view = jobs.view("a")
    assert view is not None
    assert (view.state, view.what, view.done, view.total) == ("running", "pieces", 1, 2)
    work.go.set()
    assert ended(jobs, "a").state == "done"


def test_two_who_ask_at_once_cause_one_run_and_a_later_one_another() -> None:
    jobs, work = Jobs(), Work()
    jobs.start("a", work, "one")
    jobs.start("a", work, "two")
    work.go.set()
    assert ended(jobs, "a").state == "done"
    assert work.runs == 1
    jobs.start("a", work, "one")
    assert ended(jobs, "a").state == "done"
    assert work.runs == 2


def test_it_goes_on_until_nobody_waits() -> None:
    jobs, work = Jobs(), Work()
    jobs.start("a", work, "one")
    jobs.start("a", work, "two")
    assert work.half.wait(PATIENCE)
    jobs.leave("a", "one")
    jobs.leave("a", "stranger")
    view = jobs.view("a")
    assert view is not None and view.state == "running"
    jobs.leave("a", "two")
    work.go.set()
    assert ended(jobs, "a").state == "cancelled"


def test_who_asks_again_while_a_cancelled_job_ends_gets_a_new_one() -> None:
    jobs, first, second = Jobs(workers=2), Work(), Work()
    jobs.start("a", first)
    assert first.half.wait(PATIENCE)
    jobs.leave("a")
    second.go.set()
    jobs.start("a", second)
    assert ended(jobs, "a").state == "done"
    first.go.set()
    assert ended(jobs, "a").state == "done"
    assert second.runs == 1


def test_more_jobs_than_workers_wait_and_can_be_cancelled_while_they_do() -> None:
    jobs, first, second = Jobs(workers=1), Work(), Work()
    jobs.start("a", first)
    assert first.half.wait(PATIENCE)
    assert jobs.start("b", second).state == "waiting"
    jobs.leave("b")
    first.go.set()
    assert ended(jobs, "a").state == "done"
    assert ended(jobs, "b").state == "cancelled"
    assert second.runs == 0


def test_a_failure_is_told_and_the_next_job_runs() -> None:
    def fails(progress: Progress) -> None:
        raise UserFacingError("No room.", "Make room.")

    def breaks(progress: Progress) -> None:
        raise ZeroDivisionError

    jobs = Jobs()
    jobs.start("a", fails)
    jobs.start("b", breaks)
    view = ended(jobs, "a")
    assert view.state == "failed" and view.error is not None and view.error.message == "No room."
    assert ended(jobs, "b").error is UNFORESEEN


def test_a_part_of_the_result_is_there_until_the_job_ends() -> None:
    jobs, half, go = Jobs(), threading.Event(), threading.Event()

    def work(progress: JobProgress) -> None:
        progress.publish(("first",))
        progress.publish(("first", "second"))
        half.set()
        assert go.wait(PATIENCE)

    jobs.start("a", work)
    assert half.wait(PATIENCE)
    view = jobs.view("a")
    assert view is not None and view.partial == ("first", "second")
    go.set()
    assert ended(jobs, "a").partial is None


def test_time_left_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, half, go = Jobs(), threading.Event(), threading.Event()
    now = [100.0]
    # The name in the module alone: threads wait by the same clock.
    monkeypatch.setattr("utils.runtime.jobs.time", SimpleNamespace(monotonic=lambda: now[0]))

    def work(progress: Progress) -> None:
        progress("sequences", 10, 100)
        progress("sequences", 40, 100)
        half.set()
        assert go.wait(PATIENCE)

    jobs.start("a", work)
    assert half.wait(PATIENCE)
    now[0] = 130.0
    view = jobs.view("a")
    go.set()
    # 30 pieces took 30 seconds, 60 are left.
    assert view is not None and view.seconds_left == 60.0


def test_ended_jobs_are_forgotten_when_there_are_many() -> None:
    jobs = Jobs(workers=8)
    for number in range(REMEMBERED + 20):
        jobs.start(str(number), lambda progress: None)
        ended(jobs, str(number))
    assert jobs.view("0") is None
    assert jobs.view(str(REMEMBERED + 19)) is not None


def test_all_jobs_are_stopped_and_waited_for() -> None:
    one, other, first, replaced, waits = Jobs(), Jobs(workers=2), Work(), Work(), Work()
    one.start("a", first)
    other.start("b", replaced)
    assert first.half.wait(PATIENCE) and replaced.half.wait(PATIENCE)
    one.start("c", waits)
    # A job that was cancelled and asked for again is still at work.
    other.leave("b")
    other.start("b", waits)
    assert not stop_all(0)
    first.go.set()
    replaced.go.set()
    waits.go.set()
    assert stop_all(PATIENCE)
    for jobs, key in ((one, "a"), (one, "c")):
        view = jobs.view(key)
        assert view is not None and view.state == "cancelled"
    assert stop_all(0)


def test_waiting_jobs_have_no_threads_and_one_session_has_one_job() -> None:
    jobs, first = Jobs(workers=1), Work()
    jobs.start("first", first, "teacher")
    assert first.half.wait(PATIENCE)
    threads = threading.active_count()
    for number in range(400):
        jobs.start(number, Work(), "one student")
    assert threading.active_count() == threads
    assert jobs.under_way <= 401
    line = [number for number in range(400) if (view := jobs.view(number)) and view.before]
    # Each new one takes the place of the one before.
    assert line == [399]
    jobs.cancel_all()
    first.go.set()
    assert stop_all(PATIENCE)


def test_who_asks_for_the_first_time_goes_before_who_has_a_job_already() -> None:
    jobs, first, order = Jobs(workers=1, for_each=9), Work(), []
    jobs.start("first", first, "a")
    assert first.half.wait(PATIENCE)
    for key, session in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c")):
        jobs.start(key, lambda progress, key=key: order.append(key), session)
    views = {key: jobs.view(key) for key in ("b1", "c1", "a1", "b2", "a2")}
    assert [view.before for view in views.values() if view] == [1, 2, 3, 4, 5]
    first.go.set()
    ended(jobs, "a2")
    assert order == ["b1", "c1", "a1", "b2", "a2"]


def test_a_job_ends_when_no_page_asks_for_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("utils.runtime.jobs.time", SimpleNamespace(monotonic=lambda: now[0]))
    jobs, running, waiting, own = Jobs(workers=2), Work(), Work(), Work()
    jobs.start("running", running, "gone")
    jobs.start("own", own)
    assert running.half.wait(PATIENCE) and own.half.wait(PATIENCE)
    jobs.start("waiting", waiting, "gone too")
    now[0] += GONE_SECONDS + 1
    running.go.set()
    own.go.set()
    # `ended` asks for it, which would keep it: look without asking.
    for _ in range(PATIENCE * 100):
        if not jobs.under_way:
            break
        threading.Event().wait(0.01)
    views = [jobs.view(key) for key in ("running", "waiting", "own")]
    assert [view.state for view in views if view is not None] == [
        "cancelled",
        "cancelled",
        "done",
    ]  # type: ignore[union-attr]
    assert waiting.runs == 0


def test_a_visit_that_ends_leaves_all_its_jobs() -> None:
    jobs, other, shared = Jobs(), Jobs(), Work()
    alone = Work()
    jobs.start("shared", shared, "a")
    jobs.start("shared", shared, "b")
    other.start("alone", alone, "a")
    assert shared.half.wait(PATIENCE) and alone.half.wait(PATIENCE)
    leave_everything("a")
    shared.go.set()
    alone.go.set()
    assert ended(jobs, "shared").state == "done"
    assert ended(other, "alone").state == "cancelled"


def test_a_job_that_takes_too_long_is_stopped_with_a_sentence() -> None:
    jobs, work = Jobs(time_limit=0.001), Work()
    jobs.start("a", work, "one")
    assert work.half.wait(PATIENCE)
    threading.Event().wait(0.01)
    work.go.set()
    view = ended(jobs, "a")
    assert view.error is not None and "was stopped" in view.error.message


def test_more_than_the_server_can_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.runtime.jobs.MAX_WAITING", 2)
    jobs, first = Jobs(), Work()
    jobs.start("first", first, "a")
    assert first.half.wait(PATIENCE)
    views = [jobs.start(number, Work(), f"s{number}") for number in range(3)]
    assert [view.error for view in views] == [None, None, TOO_MANY]
    jobs.cancel_all()
    first.go.set()
    assert stop_all(PATIENCE)
