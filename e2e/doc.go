// Package e2e tests the released executable's telemetry with real receivers: an OpenTelemetry Collector, a Prometheus with the
// deployed rules and queries, and a Jaeger. It also tests that orders go on without the collector. The other services are
// package demo's. It needs the build tag telemetry, and what make test-telemetry builds.
package e2e
