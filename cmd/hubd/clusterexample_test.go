package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/config"
	"edged/internal/pglab"
	"edged/internal/s3lab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// ofCluster is a node by the example, which shares rows and bucket with others. All that is
// written over is where things are: its archive and index are away.
func ofCluster(t *testing.T, node, rows string, bucket *s3lab.Bucket) *site {
	t.Helper()
	s := &site{T: t, config: installed(t, "hubd-cluster.yaml"), listen: freeAddress(t)}
	s.dir = filepath.Dir(s.config)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	written := string(text)
	for from, to := range map[string]string{
		"postgres://hubd@db.example.org:5432/hubd?sslmode=verify-full\n": rows + "\n",
		"s3://hub/objects?endpoint=s3.example.org:9000":                  bucket.URL(),
		filepath.Join(s.dir, "bucket.keys"):                              bucket.Credentials(t),
		`listen: ":8081"`:                                                `listen: "127.0.0.1:0"`,
		"format: json":                                                   "format: text", // site.start reads that
		"index.example.org":                                              "127.0.0.1:1",
		"vna.example.org":                                                "127.0.0.1:1",
		"idp.example.org":                                                "127.0.0.1:1",
	} {
		if !strings.Contains(written, from) {
			t.Fatalf("the example has no %q", from)
		}
		written = strings.ReplaceAll(written, from, to)
	}
	written += "node: " + node + "\nlisten: " + s.listen + "\ndata_dir: " + filepath.Join(s.dir, "hubd") + "\n"
	if err := os.WriteFile(s.config, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// A new cluster starts as docs/operations.md says: the first node makes the CA, the second
// one says that it has none, gets a copy, and serves an appliance that enrolled there or
// at the first one.
func TestTheClustersExampleStartsTwoNodes(t *testing.T) {
	rows, bucket := pglab.Start(t), s3lab.Start(t)
	a, b := ofCluster(t, "a", rows, bucket), ofCluster(t, "b", rows, bucket)
	if out, _ := a.try(); !strings.Contains(out, "good  ca: ") || !strings.Contains(out, "ca.pem is made at the first start of the first node") || !strings.Contains(out, "good  bucket: ") || !strings.Contains(out, "good  database: ") {
		t.Errorf("before the first start: %s", out)
	}
	a.start()
	if out, _ := b.try(); !strings.Contains(out, "BAD   ca: there is no ") {
		t.Errorf("before the copy: %s", out)
	}
	b.refuses("copy it from another node")
	ca := filepath.Join("hubd", "ca", "ca.pem")
	made, err := os.ReadFile(filepath.Join(a.dir, ca))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(b.dir, ca)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, ca), made, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := b.try(); !strings.Contains(out, "good  ca: ") {
		t.Errorf("after the copy: %s", out)
	}
	b.start()
	source := uplinktest.NewSource()
	source.Add(1, 50_000, 1)
	box := b.enrol()
	a.uplink(box, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.AtHub) == 1 })
	source.Add(2, 50_000, 1)
	b.uplink(box, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.AtHub) == 2 })
}

// The unit may write to all that the cluster's example needs without a further line.
func TestTheClusterIsInTheUnitsSandbox(t *testing.T) {
	c := Default()
	if err := config.Load(installed(t, "hubd-cluster.yaml"), &c, ""); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if c.tellSandbox(&out, ""); out.Len() > 0 {
		t.Error(out.String())
	}
}
