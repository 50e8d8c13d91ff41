package receive_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

const applianceChild = "UPLINK_TEST_APPLIANCE_DIR"

// tick is what the appliance in a process of its own tells, ten times a second.
type tick struct {
	At        time.Time
	Bytes     int64 // that the hub has
	Objects   int
	Transport string
	Why       string
	UDPOpen   *bool
	Switches  int64
	Connects  int64
	LastError string
}

// TestApplianceChild is no test: it is the appliance of the tests with namespaces, in
// a process of its own. There is always something to send; what the hub has
// is forgotten.
func TestApplianceChild(t *testing.T) {
	dir := os.Getenv(applianceChild)
	if dir == "" {
		t.Skip("the appliance of other tests")
	}
	config, err := loadAppliance(dir)
	if err != nil {
		t.Fatal(err)
	}
	source := uplinktest.NewSource()
	u, err := uplink.New(uplink.Config{
		Hubs: []string{os.Getenv("UPLINK_TEST_HUB_ADDR")}, TLS: config, Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		Transport: os.Getenv("UPLINK_TEST_CARRIER"), LanesMax: 8, Logger: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { u.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	for made := 0; ; <-time.After(100 * time.Millisecond) {
		done, bytes := storedOf(source)
		for ; made < done+100; made++ {
			source.Add(uint64(made), 128<<10, wire.Routine)
		}
		s := u.Status()
		if out.Encode(tick{time.Now(), bytes, done, s.Transport, string(s.WhyCode), s.UDPOpen, s.Switches, s.Connects, s.LastError}) != nil {
			return // nobody listens any more
		}
	}
}

// storedOf counts what the hub has, and lets the memory go.
func storedOf(source *uplinktest.Source) (objects int, bytes int64) {
	source.Each(func(it *uplinktest.Item) {
		if it.State == uplinktest.AtHub || it.State == uplinktest.Archived {
			objects, bytes = objects+1, bytes+it.Length
			it.Data = nil
		}
	})
	return objects, bytes
}

// saveAppliance writes what loadAppliance reads in another process.
func saveAppliance(t testing.TB, ca *uplinktest.CA, dir string) {
	t.Helper()
	ca.SaveHub(dir)
	cert := ca.Appliance("one").Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"one.crt": cert.Certificate[0], "one.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), der, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func loadAppliance(dir string) (*tls.Config, error) {
	hub, err := uplinktest.LoadHub(dir)
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(filepath.Join(dir, "one.crt"))
	if err != nil {
		return nil, err
	}
	der, err := os.ReadFile(filepath.Join(dir, "one.key"))
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, RootCAs: hub.ClientCAs, ServerName: uplinktest.HubName}, nil
}
