# What a developer and CI run. `make help` lists the targets; README.md says which need root.

SHELL      := /bin/bash
.DEFAULT_GOAL := help

# sudo drops the PATH of who called it.
GO         ?= $(shell command -v go || echo /usr/local/go/bin/go)
GIT        := git -c safe.directory='*'
VERSION    ?= $(or $(shell $(GIT) describe --tags --dirty 2>/dev/null),devel-$(shell $(GIT) rev-parse --short HEAD 2>/dev/null || echo unknown))
MODULE     := github.com/racker-project/racker
CACHE      := $(CURDIR)/.cache
PAYLOAD    := $(CURDIR)/payload
STEP       := build/step.sh

LINT_VERSION := 2.15.0
LINT       := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)

# One whole path through virtual machines, part of `make test`; all of them are in `make test-vm`.
VM_PATH_TEST ?= TestVMPath
VM_PATH_PKG  ?= ./pkg/internal/e2e
VM_TESTS     ?= TestVM
TEST_TIMEOUT ?= 10m
FUZZTIME     ?= 20s

PREFIX     ?= /opt

# Programs are static. Stamping fails in a clone that somebody else owns; the version comes from above.
export GOFLAGS := -buildvcs=false $(GOFLAGS)
export HOME    := $(or $(HOME),$(CACHE)/home)
LDFLAGS    := -X $(MODULE)/pkg/version.number=$(VERSION)
GOBUILD    := CGO_ENABLED=0 $(GO) build -trimpath

.PHONY: help deps build payload test test-vm bench microbench fuzz lint fmt vet unit vm-path demo install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

deps: ## install the Debian packages that building and testing need (root; does nothing when all are there)
	@build/deps.sh

build: ## bin/racker, bin/racker-agent and bin/racker-sim, all static
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o bin/racker ./cmd/racker
	$(GOBUILD) -ldflags '-s -w $(LDFLAGS)' -o bin/racker-agent ./cmd/racker-agent
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o bin/racker-sim ./cmd/racker-sim

payload: ## payload/: the iPXE programs of the distribution and our GRUB, with their digests
	@build/payload.sh $(PAYLOAD)

test: ## everything CI checks: lint, vet, tests with -race, one path through virtual machines (root, under 25 minutes)
	@$(STEP) 'test' $(MAKE) --no-print-directory all-tests

.PHONY: all-tests
all-tests:
	@$(STEP) 'packages' $(MAKE) --no-print-directory deps
	@$(STEP) 'build' $(MAKE) --no-print-directory build
	@$(STEP) 'payload' $(MAKE) --no-print-directory payload
	@$(STEP) 'lint' $(MAKE) --no-print-directory lint
	@$(STEP) 'vet' $(MAKE) --no-print-directory vet
	@$(STEP) 'unit and network tests' $(MAKE) --no-print-directory unit
	@$(STEP) 'virtual machines' $(MAKE) --no-print-directory vm-path

vet: ## go vet
	$(GO) vet ./...

unit: ## tests with the race detector, those in network namespaces of their own included
	$(GO) test -race -timeout $(TEST_TIMEOUT) ./...

vm-path: build payload ## one path through virtual machines
	RACKER_VM=1 $(GO) test -count=1 -timeout 20m -run '^$(VM_PATH_TEST)$$' $(VM_PATH_PKG) | grep -v 'no test files\|no tests to run'; exit $${PIPESTATUS[0]}

test-vm: deps build payload ## every scenario in virtual machines (root, under 60 minutes)
	RACKER_VM=1 $(GO) test -count=1 -p 1 -v -timeout 60m -run '^$(VM_TESTS)' ./...

bench: deps build payload ## benchmarks against a peer in the same run, one line each (root; a quiet machine)
	@$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 40m ./pkg/internal/e2e | sed -n '/^bench: /p;/^# /p;/FAIL/p;/_test.go/p'; exit $${PIPESTATUS[0]}

microbench: ## Go's own benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem $$($(GO) list ./... | grep -v /pkg/internal/e2e)

fuzz: ## every fuzz target, FUZZTIME (20s) each
	@build/fuzz.sh '$(GO)' '$(FUZZTIME)'

lint: $(LINT) ## golangci-lint, pinned, built from source once
	$(LINT) run ./...

$(LINT):
	mkdir -p $(@D)
	GOBIN=$(@D)/build-lint $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	mv $(@D)/build-lint/golangci-lint $@ && rmdir $(@D)/build-lint

fmt: ## gofmt
	gofmt -w cmd pkg

demo: ## a rack of three virtual servers from powered off to running (root)
	@build/demo.sh

install: build payload ## into $(DESTDIR)$(PREFIX)/racker, with links in $(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/racker/versions/$(VERSION)/payload $(DESTDIR)$(PREFIX)/bin
	install -m 0755 bin/racker bin/racker-agent bin/racker-sim $(DESTDIR)$(PREFIX)/racker/versions/$(VERSION)/
	install -m 0644 $(PAYLOAD)/* $(DESTDIR)$(PREFIX)/racker/versions/$(VERSION)/payload/
	ln -sfn versions/$(VERSION) $(DESTDIR)$(PREFIX)/racker/current
	for p in racker racker-sim; do ln -sf ../racker/current/$$p $(DESTDIR)$(PREFIX)/bin/$$p; done

clean: ## remove what was built; the linter and the test OS in .cache stay
	rm -rf bin payload
