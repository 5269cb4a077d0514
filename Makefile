.DEFAULT_GOAL := help

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: shop
shop: ## run the whole shop in one process
	go run ./cmd/shop

.PHONY: test
test: ## run all tests, watching for data races
	go test -race -shuffle=on ./...

.PHONY: lint
lint: tools ## check the rules of .golangci.yml
	bin/tools/golangci-lint run ./...

.PHONY: format
format: tools ## lay the code out as lint wants it
	bin/tools/golangci-lint fmt ./...

.PHONY: gen
gen: tools ## make gen of proto
	PATH="$(CURDIR)/bin/tools:$$PATH" sh -c 'buf lint && buf generate'

.PHONY: build
build: ## build bin/checkout as it is released, and bin/shop
	.ci/build bin/checkout
	go build -o bin/shop ./cmd/shop

.PHONY: check
check: ## do everything that is checked before a merge
	.ci/run

.PHONY: tools
tools: ## install the pinned tools into bin/tools
	.ci/tools
