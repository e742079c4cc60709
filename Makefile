# Every task of the project. Each target installs what it needs; `make help` lists them.

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=
# The Swift runtime is linked in, so that the program runs where no toolchain is and starts faster.
BUILD = $(SWIFT) build -c release --static-swift-stdlib --product weft
WEFT = .build/release/weft
TEST = SWIFT=$(SWIFT) Scripts/test

.PHONY: help run build test test-core page test-browser test-long simulate bench fuzz install uninstall \
	format lint docs clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | column -t -s "$$(printf '\t')"

build: ## Build the optimised executable
	@Scripts/install-packages build
	$(BUILD)

run: build page ## Start a node with pages to look at, and this repository's docs/ as its first folder
	@Scripts/run $(WEFT)

# One test at a time: many of them run nodes and servers, which would starve each other of time.
test: test-core test-browser ## Run all tests of every run
	$(TEST) --no-parallel

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
	node browser/service-worker.test.mjs
	node browser/visitors.test.mjs
	node browser/reader.test.mjs
	node browser/sizes.test.mjs

test-long: ## Also run the tests that are too slow for every run
	@Scripts/install-packages test
	@Scripts/wasm-testsuite official
	WEFT_LONG=1 $(TEST) -c release -Xswiftc -enable-testing --package-path Core
	WEFT_LONG=1 $(TEST) --no-parallel

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
