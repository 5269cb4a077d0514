// Package real tests the released executable with servers that others wrote: Apache Kafka and PostgreSQL. `make test-real`
// runs it. What cannot be had here is skipped, with the reason.
package real
