package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/auditmsg"
	"edged/agent/status"
	"edged/dimse"
	"edged/internal/audit"
	"edged/internal/dicom"
	"edged/internal/synth"
	"edged/internal/syslog5424"
	"edged/uplink"
)

// repository is a syslog receiver over TLS that demands a certificate (RFC 5425 §4.2).
type repository struct {
	t       *testing.T
	dir     string // with ca.pem, cert.pem and key.pem for who sends
	address string
	config  *tls.Config
	l       net.Listener
	wait    sync.WaitGroup

	mu  sync.Mutex // guards got
	got []heard
}

// heard is a message as a repository reads it.
type heard struct {
	header, raw string
	x           struct {
		Event struct {
			Outcome string `xml:"EventOutcomeIndicator,attr"`
			Action  string `xml:"EventActionCode,attr"`
			ID      struct {
				Code string `xml:"csd-code,attr"`
			} `xml:"EventID"`
			Type struct {
				Code string `xml:"csd-code,attr"`
			} `xml:"EventTypeCode"`
			Reason string `xml:"EventOutcomeDescription"`
		} `xml:"EventIdentification"`
		Parties []struct {
			ID    string `xml:"UserID,attr"`
			Host  string `xml:"NetworkAccessPointID,attr"`
			First bool   `xml:"UserIsRequestor,attr"`
		} `xml:"ActiveParticipant"`
		Objects []struct {
			ID     string `xml:"ParticipantObjectID,attr"`
			Detail struct {
				Value string `xml:"value,attr"`
			} `xml:"ParticipantObjectDetail"`
			Classes []struct {
				UID string `xml:"UID,attr"`
				N   int64  `xml:"NumberOfInstances,attr"`
			} `xml:"ParticipantObjectDescription>SOPClass"`
		} `xml:"ParticipantObjectIdentification"`
	}
}

func (m heard) is(event string) bool { return m.x.Event.ID.Code == event }

// study is what a transfer is about, and how many instances of it.
func (m heard) study() (uid string, instances int64) {
	for _, c := range m.x.Objects[0].Classes {
		instances += c.N
	}
	return m.x.Objects[0].ID, instances
}

func (m heard) detail() string {
	b, _ := base64.StdEncoding.DecodeString(m.x.Objects[0].Detail.Value)
	return string(b)
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, dir: t.TempDir(), address: testAddress()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "repository"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, err)
	cert, secret := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	for name, text := range map[string][]byte{"ca.pem": cert, "cert.pem": cert, "key.pem": secret} {
		ok(t, os.WriteFile(filepath.Join(r.dir, name), text, 0o600))
	}
	pair, err := tls.X509KeyPair(cert, secret)
	ok(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	r.config = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	t.Cleanup(r.down)
	return r
}

// section is what edged.yaml has to say, in one line.
func (r *repository) section(more string) string {
	return fmt.Sprintf("syslog: {server: %q, ca: %s/ca.pem, cert: %s/cert.pem, key: %s/key.pem%s}\n", r.address, r.dir, r.dir, r.dir, more)
}

func (r *repository) up() {
	r.t.Helper()
	l, err := tls.Listen("tcp", r.address, r.config)
	ok(r.t, err)
	r.l = l
	r.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.listen(c)
		}
	})
}

func (r *repository) down() {
	if r.l != nil {
		r.l.Close()
		r.wait.Wait()
		r.l = nil
	}
}

// listen reads frames to the end of the connection, and ends it in order.
func (r *repository) listen(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	for b := bufio.NewReader(c); ; {
		length, err := b.ReadString(' ')
		n, nerr := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || nerr != nil || n > syslog5424.MaxMessage {
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(b, text); err != nil {
			return
		}
		r.keep(string(text))
	}
}

// keep judges each message by the schema.
func (r *repository) keep(text string) {
	header, body, _ := strings.Cut(text, "\ufeff")
	m := heard{header: header, raw: body}
	if err := auditmsg.Check([]byte(body)); err != nil {
		r.t.Errorf("not of the schema: %v\n%s", err, text)
	}
	if err := xml.Unmarshal([]byte(body), &m.x); err != nil {
		r.t.Errorf("%v\n%s", err, text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m)
}

func (r *repository) all() []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// find waits for a message.
func (r *repository) find(what string, is func(heard) bool) heard {
	r.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		all := r.all()
		if i := slices.IndexFunc(all, is); i >= 0 {
			return all[i]
		}
		if time.Now().After(end) {
			for _, m := range all {
				r.t.Log(m.raw)
			}
			r.t.Fatalf("never heard of %s", what)
		}
	}
}

// uidOfStudy is the Study Instance UID of an instance.
func uidOfStudy(t *testing.T, o object) string {
	t.Helper()
	h, err := dicom.ReadHeader(o.data[:min(len(o.data), dicom.HeaderWindow)], o.names.TransferSyntax)
	ok(t, err)
	return h.Study
}

// What a modality sends is told when it begins and when it has ended, on the way in and
// out to the hub's receipt, in the words of PS3.15 §A.5.3; so is the start, a refused
// node, the head of the audit log, and the stop. None of it names a patient.
func TestAStudyIsToldToTheAuditRepositoryFromStoreToReceipt(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.up()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, address: 127.0.0.1}]}`+"\n"+repo.section(""), "").up()
	o := synthetic(t, 7, synth.Bench(1, 64<<10))[0]
	uid := uidOfStudy(t, o)
	c := r.associate("CT1", o.need())
	r.mustStore(c, o, o)
	ok(t, c.Release(t.Context()))

	m := repo.find("the start", func(m heard) bool { return m.is("110100") && m.x.Event.Type.Code == "110120" })
	if !strings.HasPrefix(m.header, "<85>1 ") || !strings.Contains(m.header, " edged ") || !strings.Contains(m.header, " DICOM+RFC3881 ") {
		t.Errorf("header %q", m.header)
	}
	m = repo.find("the beginning", func(m heard) bool { return m.is("110102") && m.x.Parties[0].ID == "CT1" })
	if got, _ := m.study(); got != uid || m.x.Parties[0].Host != "127.0.0.1" || !m.x.Parties[0].First {
		t.Errorf("began: %s", m.raw)
	}
	for what, action := range map[string]string{"what is new": "C", "what was here before": "R"} {
		m = repo.find(what, func(m heard) bool {
			return m.is("110104") && m.x.Event.Action == action && m.x.Parties[0].ID == "CT1"
		})
		if got, n := m.study(); got != uid || n != 1 || m.x.Event.Outcome != "0" {
			t.Errorf("came: %s", m.raw)
		}
	}
	m = repo.find("the way to the hub", func(m heard) bool { return m.is("110104") && m.x.Parties[1].ID == r.hub })
	if got, n := m.study(); got != uid || n != 1 || m.x.Event.Outcome != "0" {
		t.Errorf("left: %s", m.raw)
	}
	r.rejected(r.dimseConfig("WHO", "EDGED"), dimse.RejectCalling)
	m = repo.find("the stranger", func(m heard) bool { return m.is("110113") })
	if m.x.Event.Type.Code != "110126" || m.x.Parties[1].ID != "WHO" || !strings.Contains(m.detail(), "unknown node") {
		t.Errorf("alert: %s %q", m.raw, m.detail())
	}
	repo.find("the audit log", func(m heard) bool { return m.is("110101") && m.x.Event.Outcome == "0" })
	r.edged.stop()
	repo.find("the stop", func(m heard) bool { return m.is("110100") && m.x.Event.Type.Code == "110121" })
	for _, m := range repo.all() {
		if strings.Contains(strings.ToUpper(m.raw), "PROVA") {
			t.Errorf("names a patient: %s", m.raw)
		}
	}
}

// A repository that is away costs nothing: when it comes back, everything is there, in order.
func TestARepositoryThatWasAwayHearsEverything(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	r := newRig(t, alone+repo.section(", patient_ids: true, accessions: true"), "")
	r.startEdged()
	var uids []string
	for seed := range 5 {
		o := synthetic(t, uint64(100+seed), synth.Bench(1, 16<<10))[0]
		c := r.associate("CT1", o.need())
		r.mustStore(c, o)
		ok(t, c.Release(t.Context()))
		uids = append(uids, uidOfStudy(t, o))
	}
	r.edged.stop() // it is on the disk
	r.startEdged()
	repo.up()
	repo.find("the last one", func(m heard) bool {
		if !m.is("110104") {
			return false
		}
		uid, _ := m.study()
		return uid == uids[4]
	})
	var told []string
	for _, m := range repo.all() {
		if m.is("110104") {
			uid, _ := m.study()
			told = append(told, uid)
		}
	}
	if told = slices.Compact(told); !slices.Equal(told, uids) {
		t.Errorf("told %q, sent %q", told, uids)
	}
}

// An instance that is not taken is told as a transfer that failed, with the outcome and
// how many; what its quota and its queue cannot hold is told as lost.
func TestFailuresAndLossesAreTold(t *testing.T) {
	repo := newRepository(t)
	h := testHerald(t, repo)
	c := caller{calling: "CT1", address: "10.0.0.5"}
	for range 6000 { // more than the queue has places; nobody writes yet
		h.incoming(1, c, "1.2.3")
		h.refused(1, c, ctClass, 0xA700)
		h.closed(1)
	}
	if st := h.status(); st.Lost == 0 || st.Waiting != heraldQueue {
		t.Fatalf("%+v", st)
	}
	runUntilTheEnd(t, h, repo.up)
	m := repo.find("the failure", func(m heard) bool { return m.is("110104") })
	if uid, n := m.study(); uid != "1.2.3" || n != 1 || m.x.Event.Outcome != "4" || !strings.Contains(m.x.Event.Reason, "A700") {
		t.Errorf("failed: %s", m.raw)
	}
	m = repo.find("the loss", func(m heard) bool { return m.is("110113") && m.x.Event.Type.Code == "110133" })
	if !strings.Contains(m.detail(), "audit messages were lost") {
		t.Errorf("loss: %q", m.detail())
	}
	if st := h.status(); st.Lost == 0 {
		t.Errorf("%+v", st)
	}
}

func testHerald(t *testing.T, repo *repository) *herald {
	t.Helper()
	cfg := defaultConfig()
	cfg.DataDir, cfg.Uplink.Hubs = t.TempDir(), []string{"hub.example.org:8443"}
	cfg.Syslog.Server, cfg.Syslog.Quota = repo.address, 1<<20
	for name, to := range map[string]*string{"ca": &cfg.Syslog.CA, "cert": &cfg.Syslog.Cert, "key": &cfg.Syslog.Key} {
		*to = filepath.Join(repo.dir, name+".pem")
	}
	return newHerald(&cfg, []byte{1, 2, 3, 4}, slog.New(slog.DiscardHandler))
}

// runUntilTheEnd runs the herald until nothing waits any more.
func runUntilTheEnd(t *testing.T, h *herald, when func()) {
	t.Helper()
	g := newGroup(t.Context())
	g.Go(h.run)
	when()
	awaitFor(t, patience, "the audit messages to arrive", func() bool { st := h.status(); return st.Error == "" && st.Waiting == 0 })
	g.cancel(errStopped)
	ok(t, g.Wait())
}

// What the page's accounts do is told: log-in, failure and log-out as such, a locked or
// changed account as a security alert; who asks from where; and never before it happened.
func TestAccountsAreToldToTheRepository(t *testing.T) {
	repo := newRepository(t)
	h := testHerald(t, repo)
	trail := &trailOfTest{}
	a := &appliance{herald: h, tallied: newTallied()}
	told := a.observed(trail)
	from := netip.MustParseAddr("10.0.0.77")
	for _, e := range []account.Event{
		{Action: account.LoggedIn, Account: "rossi", Address: from}, {Action: account.Failed, Address: from, LeftOut: 7},
		{Action: account.LoggedOut, Account: "rossi", Address: from}, {Action: account.Lapsed, Account: "verdi", Address: from}, {Action: account.Locked, Account: "rossi", Address: from},
	} {
		ok(t, told.Note(e))
	}
	ok(t, told.Do(account.Event{Action: account.Made, Who: "root", Account: "bianchi"}, func() error { return nil }))
	if told.Do(account.Event{Action: account.Removed, Who: "root", Account: "bianchi"}, func() error { return io.EOF }) == nil || trail.rows != 7 {
		t.Errorf("%d rows in the trail", trail.rows)
	}
	if l := a.tallied.logins; l != (status.Logins{Good: 1, Failed: 8, Locked: 1}) {
		t.Errorf("counted %+v", l)
	}
	runUntilTheEnd(t, h, repo.up)
	var got []string
	for _, m := range repo.all() {
		x := m.x
		who := x.Parties[len(x.Parties)-1]
		if m.is("110114") {
			who = x.Parties[0]
			if byClock := strings.HasPrefix(who.ID, "verdi"); who.First == byClock {
				t.Errorf("%s: requestor %v", who.ID, who.First)
			}
		}
		got = append(got, strings.Join([]string{x.Event.ID.Code, x.Event.Type.Code, x.Event.Outcome, who.ID, who.Host}, " "))
	}
	want := []string{
		"110114 110122 0 rossi@edged-01020304 10.0.0.77", "110114 110122 4 unknown@edged-01020304 10.0.0.77", "110114 110123 0 rossi@edged-01020304 10.0.0.77",
		"110114 110123 0 verdi@edged-01020304 10.0.0.77",
		"110113 110137 12 rossi@edged-01020304 10.0.0.77", "110113 110137 0 root@edged-01020304 " + h.me.Host,
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("not told: %s\n%s", w, strings.Join(got, "\n"))
		}
	}
	if len(got) != len(want)+2 { // start and stop
		t.Errorf("told %d: %s", len(got), strings.Join(got, "\n"))
	}
}

type trailOfTest struct {
	rows int
	err  error
}

func (a *trailOfTest) Note(account.Event) error                   { a.rows++; return a.err }
func (a *trailOfTest) Do(_ account.Event, act func() error) error { a.rows++; return act() }

// A caller who knocks a thousand times is told once, and how often when it is over; damage
// and a broken audit log are alerts.
func TestAlertsAreFewAndTell(t *testing.T) {
	repo := newRepository(t)
	h := testHerald(t, repo)
	now := time.Now()
	h.now = func() time.Time { return now }
	for range 1000 {
		h.turnedAway(caller{calling: "WHO", address: "10.0.0.66"}, status.UnknownCalling, "")
	}
	for i := range 2000 { // a scan with made up titles
		h.turnedAway(caller{calling: fmt.Sprint("X", i), address: "10.0.0.67"}, status.WrongCalled, "")
	}
	h.turnedAway(caller{calling: "CT1", address: "10.0.0.5"}, status.NoSpace, "") // no matter of security
	if n := len(h.queue); n > maxAlerts+2 {
		t.Errorf("%d alerts", n)
	}
	now = now.Add(2 * alertEvery)
	h.forgetAlerts()
	damaged, conflicts := int64(0), int64(0)
	look := h.integrity(func() (int64, int64, bool) { return damaged, conflicts, true })
	look()
	damaged, conflicts = 2, 1
	look()
	look()
	h.chain(func() (audit.Report, error) { return audit.Report{Seq: 7, Head: "abc", Broken: 1}, nil })()
	runUntilTheEnd(t, h, repo.up)
	texts := make(map[string]int)
	for _, m := range repo.all() {
		if m.is("110113") {
			texts[m.detail()]++
		}
	}
	for _, want := range []string{"an unknown node asked for an association and was refused", "an unknown node asked for an association and was refused: 999 more since the last of these",
		"2 stored instances are damaged or gone here", "1 stored instance share a SOP Instance UID with another one of other contents; all are kept",
		"the audit log of this appliance was changed: the chain is broken in 1 place"} {
		if texts[want] != 1 {
			t.Errorf("%d times %q", texts[want], want)
		}
	}
}

// The way to the hub is told once a study, however often the line breaks; what the hub
// will not take, and what is damaged here, as failures.
func TestTheWayToTheHubIsToldOnceAStudy(t *testing.T) {
	repo := newRepository(t)
	h := testHerald(t, repo)
	now := time.Now()
	h.now = func() time.Time { return now }
	send := func(n byte) uplink.Object {
		return uplink.Object{ID: dicom.ID{n}, Study: "1.2.9", Names: dicom.Names{SOPClass: ctClass}}
	}
	for range 100 { // the line comes and goes
		h.leaving(send(1))
		h.landed(dicom.ID{1}, false, uplink.ErrLost)
		now = now.Add(time.Minute / 2)
		h.settleQuiet()
	}
	h.leaving(send(1))
	h.leaving(send(2))
	h.leaving(send(3))
	h.landed(dicom.ID{1}, true, nil)
	h.landed(dicom.ID{2}, false, &uplink.RestError{Why: io.ErrUnexpectedEOF, Times: 3})
	now = now.Add(time.Minute)
	h.settleQuiet() // one is still under way
	h.landed(dicom.ID{3}, false, fmt.Errorf("%w: here", uplink.ErrCorrupt))
	now = now.Add(time.Minute)
	h.settleQuiet()
	runUntilTheEnd(t, h, repo.up)
	var got []string
	for _, m := range repo.all() {
		if m.is("110102") || m.is("110104") {
			_, n := m.study()
			got = append(got, fmt.Sprint(m.x.Event.ID.Code, " ", m.x.Event.Outcome, " ", n))
		}
	}
	if want := []string{"110102 0 0", "110104 0 1", "110104 8 2"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
