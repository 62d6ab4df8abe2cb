"""The journeys' own alarm rings."""

import flask

ICON = '<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>watched</title><body>'


def served(body: str) -> flask.Flask:
    app = flask.Flask("watched")
    app.add_url_rule("/", view_func=lambda: ICON + body)
    return app


def test_hears_the_console_of_a_frame_and_what_nobody_caught(page, serve, watch):
    framed = "<script>console.log('from the frame'); undefinedName()</script>"
    page.goto(serve(served(f'<iframe sandbox="allow-scripts" srcdoc="{framed}"></iframe>')))
    page.wait_for_load_state("networkidle")
    problems = "\n".join(watch.problems())
    assert "from the frame" in problems
    assert "undefinedName is not defined" in problems
    watch.clear()


def test_sees_a_request_to_another_host(page, serve, watch):
    page.goto(serve(served('<img src="http://headscope.invalid/pixel.png">')))
    page.wait_for_load_state("networkidle")
    assert watch.outside_requests == ["http://headscope.invalid/pixel.png"]
    watch.clear()


def test_sees_an_answer_that_is_an_error(page, serve, watch):
    page.goto(serve(served('<img src="/missing.png">')))
    page.wait_for_load_state("networkidle")
    assert len(watch.failed_requests) == 1
    assert watch.failed_requests[0].startswith("404 ")
    watch.clear()


def test_is_quiet_when_all_is_well(page, serve, watch):
    page.goto(serve(served('<img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">')))
    page.wait_for_load_state("networkidle")
    assert watch.problems() == []
