# Every task of the project. Each target installs what it needs; `make help` lists them.

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=
# The Swift runtime is linked in, so that the program runs where no toolchain is and starts faster.
BUILD = $(SWIFT) build -c release --static-swift-stdlib --product weft
WEFT = .build/release/weft
TEST = Scripts/test $(SWIFT) test
# One test at a time: many of them run nodes and servers, which would starve each other of time. The
# tests that run the program, but for those in networks of their own, take about as long as all others.
NODE_TEST = Scripts/test .build/debug/weftPackageTests.xctest --testing-library swift-testing \
    --no-parallel
PROGRAM_TESTS = ^CommandTests\.(?!NetworkTests|ReachabilityTests)

.PHONY: help run build test test-core test-core-beside test-nodes build-tests test-programs test-parts \
	page test-browser test-long simulate bench fuzz install uninstall \
	format lint docs clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | column -t -s "$$(printf '\t')"

build: ## Build the optimised executable
	@Scripts/install-packages build
	$(BUILD)

run: build page ## Start a node with pages to look at, and this repository's docs/ as its first folder
	@Scripts/run $(WEFT)

# Tests of nodes wait for each other more than they compute, so two of them are run at a time, and what
# computes all the time is done in the time that they leave.
test: ## Run all tests of every run
	@Scripts/install-packages test
	@Scripts/wasm-testsuite
	@rm -f .build/failures
	@WEFT_FAILURES=$(CURDIR)/.build/failures $(MAKE) --no-print-directory -j4 \
	    test-browser test-nodes test-core-beside || { cat .build/failures 2>/dev/null; exit 1; }

test-core-beside:
	@nice -n 19 $(MAKE) --no-print-directory test-core

test-nodes: test-programs test-parts

build-tests:
	$(SWIFT) build --build-tests

test-programs: build-tests page
	$(NODE_TEST) --filter '$(PROGRAM_TESTS)'

test-parts: build-tests page
	$(NODE_TEST) --skip '$(PROGRAM_TESTS)'

test-core: ## Test the pure part alone, with both sets of cryptography (fast)
	@Scripts/install-packages test
	@Scripts/wasm-testsuite
	$(TEST) --package-path Core
	$(TEST) --package-path Core --disable-default-traits --scratch-path Core/.build/pure \
	    --filter "^(Wire|Cryptography|Multiformats|IPLD)Tests"

page: ## Build browser/dist, with which a web page is a peer, and the pages of `weft up`
	@Scripts/install-packages browser
	Scripts/build-browser
	Scripts/build-page

test-browser: page ## Build Core as WebAssembly and the page's script, and ask Core questions under node
	@Scripts/install-packages test
	node browser/test.mjs
	node browser/cryptography.test.mjs
	node browser/storage.test.mjs
	node browser/hedge.test.mjs

test-long: ## Also run the tests that are too slow for every run
	@Scripts/install-packages test
	@Scripts/wasm-testsuite official
	WEFT_LONG=1 $(TEST) -c release -Xswiftc -enable-testing --package-path Core
	WEFT_LONG=1 $(MAKE) --no-print-directory -j2 test-nodes

simulate: ## Simulate networks of nodes; ARGS="dht --peers 1000 --liars 0.2"
	@Scripts/install-packages build
	$(SWIFT) run --package-path Core -c release simulate $(ARGS)

bench: build page ## Measure the installed program against the named peers, side by side; prints the table of the README
	@Scripts/install-packages bench
	@Scripts/install $(WEFT) "" "$(CURDIR)/.build/installed" >/dev/null
	$(SWIFT) build -c release --static-swift-stdlib --product peer-bench
	$(SWIFT) build -c release --static-swift-stdlib --product engine-bench
	$(SWIFT) build -c release --static-swift-stdlib --product calls-bench
	.build/venv/bin/python bench/run.py --weft .build/installed/bin/weft

fuzz: ## Fuzz every parser of remote bytes; SECONDS=60 each
	@Scripts/install-packages build
	Fuzz/run $(or $(SECONDS),60)

install: build page ## Install the program, its pages, completions, manual page and service under PREFIX
	Scripts/install $(WEFT) "$(DESTDIR)" "$(PREFIX)"

uninstall: ## Remove what `make install` put there
	Scripts/install --remove "$(DESTDIR)" "$(PREFIX)"

format: ## Format all Swift files in place
	$(SWIFT) format --in-place --parallel $$(git ls-files --cached --others --exclude-standard '*.swift')

lint: ## Check the formatting
	$(SWIFT) format lint --strict --parallel $$(git ls-files --cached --others --exclude-standard '*.swift')

clean: ## Remove everything that was built
	rm -rf .build Core/.build Fuzz/.build
