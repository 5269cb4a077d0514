//go:build real

package real

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"checkout/internal/certs/certstest"
	"checkout/internal/test/nettest"
)

const kafkaUser = "checkout"

// security is a second listener of a broker, where clients need a certificate and a password, and may do what an ACL allows.
type security struct {
	address  string
	folder   string
	password string
}

// startSecureKafka starts a broker that has such a listener. The tests themselves use the other one.
func startSecureKafka(t *testing.T) *kafka {
	t.Helper()
	s := &security{address: nettest.Reserve(t), folder: t.TempDir(), password: "secret of the broker"}
	authority := certstest.New(t)
	authority.Write(s.file("ca"))
	authority.Issue(s.file("cert"), s.file("key"))
	authority.Issue(s.file("client-cert"), s.file("client-key"))
	s.write(t, "store", s.read(t, "key")+s.read(t, "cert"))
	k := (&kafka{secure: s}).run(t, 1)
	admin, closed := k.admin(t)
	defer closed()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		eventually(t, "the broker accepts credentials", func(ctx context.Context) error {
			made, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
				{User: kafkaUser, Mechanism: mechanism, Iterations: 4096, Password: s.password},
			})
			if err == nil {
				err = made.Error()
			}
			return err
		})
	}
	return k
}

func (s *security) file(name string) string { return filepath.Join(s.folder, name+".pem") }

func (s *security) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *security) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configure adds the listener to a broker's configuration.
func (s *security) configure(text string) string {
	text = strings.NewReplacer(
		",CONTROLLER://", ",SASL_SSL://"+s.address+",CONTROLLER://",
		"\nadvertised.listeners=", "\nadvertised.listeners=SASL_SSL://"+s.address+",",
		"PLAINTEXT:PLAINTEXT\n", "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL\n",
	).Replace(text)
	return text + fmt.Sprintf(`sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[1]s="%[2]s";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=%[3]s
listener.name.sasl_ssl.ssl.truststore.type=PEM
listener.name.sasl_ssl.ssl.truststore.location=%[4]s
listener.name.sasl_ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
`, kafkaUser, s.password, s.file("store"), s.file("ca"))
}

// environ has the service use the listener.
func (s *security) environ(mechanism string) map[string]string {
	return map[string]string{
		"KAFKA_ADDR": s.address, "KAFKA_TLS": "true", "CHECKOUT_OUTGOING_CA": s.file("ca"),
		"CHECKOUT_OUTGOING_CERT": s.file("client-cert"), "CHECKOUT_OUTGOING_KEY": s.file("client-key"),
		"KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": kafkaUser, "KAFKA_SASL_PASSWORD_FILE": s.file("password"),
	}
}

// permit lets the service write to the topic, or takes that away again.
func (k *kafka) permit(t *testing.T, allowed bool) {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	acl := kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpDescribe, kadm.OpWrite).Allow("User:" + kafkaUser).AllowHosts("*")
	if allowed {
		if _, err := admin.CreateACLs(t.Context(), acl); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := admin.DeleteACLs(t.Context(), acl); err != nil {
		t.Fatal(err)
	}
}

func TestEventsWaitForThePasswordAndThePermission(t *testing.T) {
	k := startSecureKafka(t)
	k.createTopic(t)
	k.secure.write(t, "password", "another password")
	s := openShop(t, k, "", 1, k.secure.environ("SCRAM-SHA-512"))
	s.orders(t, 20)
	s.awaitPending(t, 20, "SASL_AUTHENTICATION_FAILED")
	k.secure.write(t, "password", k.secure.password)
	s.awaitPending(t, 20, "TOPIC_AUTHORIZATION_FAILED")
	k.permit(t, true)
	s.audit(t, k.events)
	k.permit(t, false) // now of a service that has published already
	s.orders(t, 20)
	s.awaitPending(t, 20, "TOPIC_AUTHORIZATION_FAILED")
	k.permit(t, true)
	s.audit(t, k.events)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256"} {
		t.Run(mechanism, func(t *testing.T) {
			s := openShop(t, k, "", 1, k.secure.environ(mechanism))
			s.orders(t, 20)
			s.audit(t, k.events)
		})
	}
}
