# Everything that a contributor and CI do. `make help` lists it; `make test` is the
# whole of CI on a machine that has Go and nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The function as it is deployed: static, stripped, without the RPC mode of old
# Lambda runtimes, and the same bytes wherever it is built.
BUILD := CGO_ENABLED=0 GOOS=linux go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags='-s -w -buildid='

# How long `make fuzz` fuzzes each target.
FUZZTIME ?= 60s
# The page whose table of budgets `make bench` replaces; empty to print it.
PAGE ?=
# The workspace that `make package` puts beside the function, if any: only a stack with
# Store=workspace reads it.
WORKSPACE ?=

.PHONY: help test lint fmt build bootstrap package fuzz bench cover demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run everything that CI runs, cheap checks first
	@.ci/test

lint: ## run the static checks alone
	@.ci/test lint

fmt: ## format Go and Rego
	gofmt -l -w .
	"$$(.ci/opa)" fmt --write policies

build: ## build the function into dist/arm64 and dist/amd64, reproducibly, and list its modules
	@$(MAKE) bootstrap GOARCH=arm64 OUT=dist/arm64/bootstrap
	@$(MAKE) bootstrap GOARCH=amd64 OUT=dist/amd64/bootstrap
	go run ./.ci/sbom dist/arm64/bootstrap >dist/sbom.json

# One binary, for GOARCH, at OUT: the process test runs what this builds.
bootstrap:
	GOARCH=$(GOARCH) $(BUILD) -o $(OUT) ./cmd/authorizer

package: build ## put the arm64 function, and WORKSPACE, into dist/package, as template.yaml deploys it
	rm -rf dist/package
	mkdir -p dist/package
	cp dist/arm64/bootstrap dist/package/bootstrap
	$(if $(WORKSPACE),cp -R "$(WORKSPACE)" dist/package/workspace)

fuzz: ## fuzz every target for FUZZTIME (60s)
	@FUZZTIME=$(FUZZTIME) .ci/test fuzz

bench: ## measure the budgets of DESIGN.md §14 and print them, or put them into PAGE
	go run ./.ci/budget $(if $(PAGE),-w $(PAGE))

cover: ## write the tests' coverage to .build/cover.html and print the total
	@mkdir -p .build
	go test -coverpkg=./engine/...,./tenants/...,./cmd/... -coverprofile=.build/cover.out ./...
	go tool cover -html=.build/cover.out -o .build/cover.html
	go tool cover -func=.build/cover.out | tail -n 1

demo: ## run the walkthrough
	go run ./cmd/regent demo

clean: ## remove what the other targets made
	rm -rf .build dist
