# On a fresh Debian: apt install git make python3-venv
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.cfg pyproject.toml

.PHONY: help demo test prove check docs format clean

help:
	@echo "make demo    install, find the nuclei in a photograph of tissue, leave a report in out/demo"
	@echo "make test    install, run the tests"
	@echo "make prove   hold arithmetic and time to independent code for long, renew docs/proofs (PROVE_ARGS=\"--macs 1e10\")"
	@echo "make check   ruff, mypy --strict, import-linter"
	@echo "make docs    the pages of docs/ as a site in out/site, warnings are errors"
	@echo "make format  ruff format and safe fixes"
	@echo "make clean   remove the virtual environment and outputs"

$(VENV)/.user: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tflite,onnx,demo]'
	touch $@

$(VENV)/.dev: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	touch $@ $(VENV)/.user

$(VENV)/.docs: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

demo: $(VENV)/.user
	$(BIN)/python examples/nuclei/photograph.py out/tissue.png
	$(BIN)/bittrue run examples/nuclei/nuclei_unet.npz -a edge_32x32 -i out/tissue.png -o out/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

prove: $(VENV)/.dev
	PYTHONPATH=.:tests $(BIN)/python -m proof.array_cycles --log docs/proofs/array_cycles.txt
	PYTHONPATH=.:tests $(BIN)/python -m proof.conservation --log docs/proofs/conservation.txt
	PYTHONPATH=.:tests $(BIN)/python -m proof.system_cycles --log docs/proofs/system_cycles.txt
	PYTHONPATH=.:tests $(BIN)/python -m proof.prove --isa all --log docs/proofs/arithmetic.txt $(PROVE_ARGS)
	PYTHONPATH=.:tests $(BIN)/python -m proof.guarded --isa all
	PYTHONPATH=.:tests $(BIN)/python -m proof.vector_ops
	PYTHONPATH=.:tests $(BIN)/python -m proof.gradients
	PYTHONPATH=.:tests $(BIN)/python -m proof.prove_timing --log docs/proofs/timing.txt
	PYTHONPATH=.:tests $(BIN)/python -m proof.by_requests --log docs/proofs/by_requests.txt

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -b html -W --keep-going -q -j 2 -c docs . out/site
	echo '<meta http-equiv="refresh" content="0; url=docs/index.html">' > out/site/index.html
	@echo "open out/site/index.html"

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) out
