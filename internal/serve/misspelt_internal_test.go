package serve

import (
	"fmt"
	"strings"
	"testing"
)

func TestAMisspeltVariableIsNamedWithTheSettingThatWasMeant(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]string{
		"CHECKOUT_RETENTON=30d":                             "[unknown setting CHECKOUT_RETENTON; did you mean CHECKOUT_RETENTION?]",
		"CHECKOUT_SHIPPING_TIMEOUT=12s":                     "[unknown setting CHECKOUT_SHIPPING_TIMEOUT; did you mean CHECKOUT_SHIP_TIMEOUT?]",
		"CHECKOUT_MAX_ORDER=9 CHECKOUT_ADMIN_ADDRESS=:5051": "[unknown setting CHECKOUT_MAX_ORDER; did you mean CHECKOUT_MAX_ORDERS? unknown setting CHECKOUT_ADMIN_ADDRESS; did you mean CHECKOUT_ADMIN_ADDR?]",
		"KAFKA_ADRR=kafka:9092":                             "[unknown setting KAFKA_ADRR; did you mean KAFKA_ADDR?]",
		"KAFKA_ADRR=kafka:9092 KAFKA_ADDR=kafka:9092":       "[]",
		"CHECKOUT_RETENTION=30d PATH=/bin HOME=/root TERM=": "[]",
		// Of the console, of commands and of builds.
		"CHECKOUT_CONSOLE_ADDR=a CHECKOUT_CONSOLE_TLS_CERT=a CHECKOUT_CONSOLE_TLS_KEY=a CHECKOUT_CONSOLE_CLIENT_CA=a CHECKOUT_CONSOLE_TOKEN=a CHECKOUT_CONSOLE_TOKEN_FILE=a CHECKOUT_TRACE_URL=a": "[]",
		"CHECKOUT_ADMIN_CA=a CHECKOUT_ADMIN_CERT=a CHECKOUT_ADMIN_KEY=a CHECKOUT_CARD=a CHECKOUT_IMAGE=a CHECKOUT_DOCKERFILE=a CHECKOUT_SOURCE=a CHECKOUT_UI=a":                                   "[]",
		// Of the demo, and what Kubernetes adds for its services.
		"AD_ADDR=a CHECKOUT_ADDR=a CART_PORT=1 EMAIL_PORT=1 KAFKA_PORT=1 KAFKA_HOST=a PAYMENT_PORT=1 SHIPPING_PORT=1 CURRENCY_PORT=1 PRODUCT_CATALOG_PORT=1 FLAGD_UI_PORT=1 FRONTEND_ADDR=a QUOTE_ADDR=a": "[]",
		"CHECKOUT_SERVICE_HOST=a CHECKOUT_SERVICE_PORT=1 CHECKOUT_PORT_8080_TCP=a CHECKOUT_PORT_8080_TCP_ADDR=a CHECKOUT_PORT_8080_TCP_PORT=1 CHECKOUT_PORT_8080_TCP_PROTO=tcp":                           "[]",
		"FLAGD_SERVICE_HOST=a FLAGD_SERVICE_PORT=1 FLAGD_SERVICE_PORT_RPC=1 FLAGD_PORT_8013_TCP=a KAFKA_SERVICE_HOST=a KAFKA_PORT_9092_TCP_ADDR=a":                                                        "[]",
	} {
		s := NewSettings()
		s.CheckNames(strings.Fields(environ))
		if got := fmt.Sprint(s.config.warnings); got != want {
			t.Errorf("%s: %s, want %s", environ, got, want)
		}
	}
}
