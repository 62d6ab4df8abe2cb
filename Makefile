# make run    the app on http://127.0.0.1:8050
# make test   the whole test suite, browser journeys included
# make check  formatting, lint, types, then the tests
#
# Options: PYTHON=python3.12   the interpreter for the virtual environment (3.11 or later)
#          PORT=8060           where `make run` serves
#          TORCH_ARGS="..."    more arguments for `pip install torch`, to choose a build (README, "Installation")

PYTHON ?=
PORT ?= 8050
TORCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' requirements.txt)

.PHONY: help run test check install install-dev clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

run: install
	$(BIN)/python app.py --host 127.0.0.1 --port $(PORT)

test: install-dev
	scripts/test

check: install-dev
	scripts/check

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# A stamp a step: a second call installs nothing, a changed pin does.
$(VENV)/.torch: $(BIN)/python requirements.txt
	$(PIP) install $(TORCH_ARGS) "$(TORCH)"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch requirements.txt constraints.txt
	$(PIP) install -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(PIP) install -r requirements-dev.txt -c constraints.txt
	@touch $@

$(BIN)/python:
	PYTHON="$(PYTHON)" scripts/make_venv $(VENV)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
