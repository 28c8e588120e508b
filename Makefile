# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needed beforehand: python3 (3.11 or newer, with venv), git, make, openssh-client. `make system`
# installs what some tests want beside them.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
XDIST ?= auto
N ?= 1000
MINUTES := 35

.PHONY: demo test check format long crash bench report wheel system help clean

help:  ## say what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(STAMP)  ## break a glass, end to end, on a real target
	$(BIN)/python -m breakglass.demo

test: $(STAMP)  ## run all tests of the short form
	@echo "all tests of the short form: about $(MINUTES) minutes on two idle cores; skips are told"
	$(BIN)/python -m pytest -rs -m "not long" -n $(XDIST) --dist loadgroup

check: $(STAMP)  ## format, lint, types, import contracts, doctests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules src/breakglass tests/architecture

format: $(STAMP)  ## write the code the way check wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

long: $(STAMP)  ## the long suites: full sizes, simulations, fuzzing
	$(BIN)/python -m pytest -rs -m long -n $(XDIST) --dist loadgroup

crash: $(STAMP)  ## kill -9 N times under load, and look at everything after each
	$(BIN)/python -m tests.faults.crash --rounds $(N)

bench: $(STAMP)  ## print the measured figures as JSON lines
	@for each in bench/*.py; do case $$each in *_kit.py|*report.py) ;; *) $(BIN)/python $$each ;; esac; done

report: $(STAMP)  ## build the sample report from the public histories, under build/report
	$(BIN)/python bench/report.py build/report

wheel: $(STAMP)  ## build what 'pipx install' takes, under dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

system:  ## install the Debian packages that some tests want (needs root)
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	  openssh-client openssh-server patch git ceph-mon ceph-osd radosgw ceph-common iproute2 systemd \
	  locales \
	  $$(apt-cache show postgresql-15 >/dev/null 2>&1 && echo postgresql-15 postgresql-15-pgaudit)
	-DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	  redis-server mariadb-server pgbouncer cron at tmux  # without one its tests are skipped, and told

$(STAMP): pyproject.toml
	@missing=""; for each in git ssh-keygen $(PYTHON); do \
	  command -v $$each >/dev/null || missing="$$missing $$each"; done; \
	  $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || missing="$$missing python3.11-with-venv"; \
	  test -z "$$missing" || { echo "breakglass: missing on this machine:$$missing"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,postgres,aws]' --group dev
	@touch $(STAMP)

clean:  ## remove what was built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
