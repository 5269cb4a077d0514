// Package e2e tests what leaves the service against the real parts that receive it: the executable as it is released, an
// OpenTelemetry Collector, a Prometheus with the rules and queries that are deployed, and a Jaeger. It tests, too, that
// orders go on when the collector does not. The other services are package demo's. It takes the build tag telemetry, and
// what make test-telemetry builds.
package e2e
