# The commands of the project. Everything they need beyond Rust, gcc and make they install themselves (as root on
# Debian), or name. What they do stands in .ci/, for reading and for CI.
SHELL := /bin/bash
.PHONY: run test lint bench openapi help

run: ## start Verbatim on http://127.0.0.1:8080 with all data in ./verbatim-data
	cargo run --release

test: ## run every test suite: documentation examples, schemathesis, the stack around Verbatim, Rust
	@.ci/test

lint: ## formatting, clippy, documentation and dependency checks, all strict
	@.ci/lint

bench: ## measure speed against the bare limit server, in release builds
	@.ci/bench

openapi: ## write docs/openapi.json anew from the code
	@.ci/openapi write

help: ## list these targets
	@sed -nE 's/^([a-z]+): ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
