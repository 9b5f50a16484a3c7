# What a builder types; `make setup` runs by itself before the others and takes a second when nothing changed.
.PHONY: setup demo test check bench fuzz chaos soak screenshots lock texts clean

setup:
	@scripts/setup.sh

demo: setup
	@.venv/bin/python -m lab.demo $(if $(ONCE),--once)

test: setup
	@.venv/bin/pytest -n 3 --dist loadfile --reruns 1 --only-rerun LabError

check: setup
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: setup
	@.venv/bin/python -m bench

# Every door of ctid given any bytes at all, each for so many seconds: docs/testing.md
SECONDS = 60
fuzz: setup
	@.venv/bin/python -m fuzz --seconds $(SECONDS)

# Faults under a stream of calls, counted: docs/testing.md
chaos: setup
	@.venv/bin/python -m lab.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

# An hour of load, watched and counted; MINUTES=5 for a short one, ONE_WAY=1 where Asterisk cannot bear sound both ways.
soak: setup
	@.venv/bin/python -m lab.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONE_WAY),--one-way)

# The pictures in docs/screenshots anew, as the tests' browser sees the pages.
screenshots: setup
	@CTID_SCREENSHOTS=1 .venv/bin/pytest tests/browser/test_pages.py tests/browser/test_work.py

# The pinned packages anew, after a change of pyproject.toml or package.json; needs uv and npm.
LOCK = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate pyproject.toml
lock:
	@$(LOCK) -o requirements/runtime.txt
	@$(LOCK) --group dev -c requirements/runtime.txt -o requirements/dev.txt
	@npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund

# The catalogues of the pages' languages in step with the texts; what is then not translated is told.
texts: setup
	@.venv/bin/python scripts/texts.py

clean:
	rm -rf .lab .venv build dist ctid/web/static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis
