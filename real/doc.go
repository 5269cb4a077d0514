// Package real tests the released executable with real servers: Apache Kafka and PostgreSQL. `make test-real` runs it. A test
// whose server is not installed is skipped, with the reason.
package real
