.DEFAULT_GOAL := help

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: shop
shop: ## run the whole shop in one process
	go run ./cmd/shop

.PHONY: test
test: ## run all tests, with the race detector
	go test -race -shuffle=on ./...

.PHONY: test-telemetry
test-telemetry: ## test against a real collector, Prometheus and Jaeger, which are built once
	.ci/build bin/checkout
	.ci/telemetry bin/checkout

.PHONY: test-real
test-real: ## test against Apache Kafka, PostgreSQL, Patroni, PgBouncer and flagd, which are killed meanwhile. A quarter of an hour
	.ci/build bin/checkout
	.ci/real bin/checkout

.PHONY: test-browser
test-browser: ## test the sites in Chromium, and leave screenshots of every page in bin/screenshots
	.ci/browser

.PHONY: pictures
pictures: ## take the pictures of the README again. Minutes
	.ci/browser -run Pictures -timeout 20m -pictures 100s -screenshots "$(CURDIR)/docs/images"

.PHONY: lint
lint: tools ## check the rules of .golangci.yml
	bin/tools/golangci-lint run --build-tags telemetry,browser,image ./...

.PHONY: format
format: tools ## format the code
	bin/tools/golangci-lint fmt ./...

.PHONY: gen
gen: tools ## regenerate code from proto/
	PATH="$(CURDIR)/bin/tools:$$PATH" sh -c 'buf lint && buf generate'

.PHONY: build
build: ## build bin/checkout as it is released, bin/shop and bin/console
	.ci/build bin/checkout
	.ci/build bin/shop ./cmd/shop
	.ci/build bin/console ./cmd/console

.PHONY: image
image: ## build the images with Podman and try them. Needs root
	.ci/image

.PHONY: crash
crash: build ## kill the released program 1,300 times, with orders in progress
	go run ./crash -kills 1000 -binary bin/checkout
	@if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; \
	then go run ./crash -kills 300 -db postgres -replicas 3 -binary bin/checkout; \
	else echo 'NOT RUN: three replicas on PostgreSQL; it is not installed'; fi

.PHONY: bench
bench: ## measure the released service beside a bare program; writes docs/performance.md. Five minutes
	.ci/build bin/checkout
	go run ./bench -floor parallel -docs docs

.PHONY: bench-20mb
bench-20mb: ## measure it in small, cold containers. Needs root; up to seven minutes
	.ci/build bin/checkout
	go run ./bench -container 20,24,28 -lines 5 -concurrency 16,64 -orders 12000 -time 16s -rounds 4 -docs docs

.PHONY: overload
overload: ## overload it, slow its dependencies down, and let one user send 400 calls at once; 16 and 512 MiB. Half an hour
	.ci/build bin/checkout
	go run ./bench -overload -docs docs

.PHONY: attack
attack: ## attack it from 1, 20 and 200 connections, beside normal customers. Fifteen minutes
	.ci/build bin/checkout
	go run ./attack -binary bin/checkout

.PHONY: matrix
matrix: ## make its dependencies fail in more than a thousand ways, twice. Five minutes
	.ci/build bin/checkout
	go run ./matrix -binary bin/checkout
	go run ./matrix -binary bin/checkout -payment keyed

.PHONY: sim
sim: ## simulate a million schedules; the tests run 20,000
	go test -count=1 -timeout 3h -run TestSchedules ./internal/sim -schedules 1000000

.PHONY: check
check: ## run all checks before a merge; installs nothing outside bin
	.ci/run --no-install

.PHONY: tools
tools: ## install the pinned tools into bin/tools
	.ci/tools
