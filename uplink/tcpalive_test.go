package uplink_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// behindProxy dials through a proxy that answers, to a hub with a script.
func behindProxy(t *testing.T, ca *uplinktest.CA, idle time.Duration, script func(*tls.Conn)) uplink.Carrier {
	t.Helper()
	u := piped(t, ca, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReaderSize(c, 16)); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		conn := tls.Server(c, hubTLS(ca))
		if conn.Handshake() == nil {
			script(conn)
		}
	}, func(c *uplink.Config) { c.Proxy, c.Idle = "proxy.example:3128", idle })
	c, err := uplink.DialTCP(t.Context(), u, "hub.test:8443")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Behind a proxy, which answers the kernel's probes itself, a lane that says
// nothing asks the hub whether it is there, and stays as long as it is.
func TestAQuietLaneBehindAProxyIsKept(t *testing.T) {
	ca := uplinktest.NewCA(t)
	ca.Hub()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := behindProxy(t, ca, 20*time.Second, func(conn *tls.Conn) {
			for frames := wire.NewReader(conn); ; {
				f, err := frames.Next()
				if err != nil {
					return
				}
				if p, ok := f.(*wire.ProbeFrame); ok && p.Length == 1 {
					asked.Add(1)
					b, _ := wire.Append(nil, &wire.Echo{Number: p.Number, Bytes: 1})
					conn.Write(b)
				}
			}
		})
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, c.Control())
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Error(err)
		case <-time.After(10 * time.Minute):
		}
		if n := asked.Load(); n < 50 || n > 130 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		c.Close(0, "")
		<-ended
		<-time.After(time.Hour)
	})
}

// A hub that has died behind a proxy, or a line beyond it, ends the lane when idle
// has passed, for who reads and for who writes.
func TestADeadHubBehindAProxyIsNoticed(t *testing.T) {
	ca := uplinktest.NewCA(t)
	ca.Hub()
	for name, script := range map[string]func(*tls.Conn){
		"the proxy goes on reading": func(c *tls.Conn) { io.Copy(io.Discard, c) },
		"nobody reads":              func(*tls.Conn) { <-time.After(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := behindProxy(t, ca, 20*time.Second, script)
				writer := make(chan error, 1)
				go func() {
					p, err := c.Open(t.Context(), wire.Routine)
					for err == nil {
						<-time.After(time.Second)
						err = p.Put(putFrame(t, 1))
					}
					writer <- err
				}()
				_, err := c.Control().Read(make([]byte, 1))
				if took := time.Since(began); took < 20*time.Second || took > 26*time.Second {
					t.Errorf("noticed after %s", took)
				}
				for who, err := range map[string]error{"reader": err, "writer": <-writer} {
					if err == nil || !strings.Contains(err.Error(), "does not answer any more") {
						t.Errorf("%s: %v", who, err)
					}
				}
				c.Close(0, "")
				<-time.After(2 * time.Hour)
			})
		})
	}
}
