package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/internal/s3lab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// withBucket has s keep its objects in a bucket.
func (s *site) withBucket(b *s3lab.Bucket) {
	s.more += fmt.Sprintf("objects: %s\nobjects_credentials: %s\n", strings.Replace(b.URL(), "?", "/region/north?", 1), b.Credentials(s.T))
	s.configure()
}

// inBucket counts the whole objects there.
func inBucket(t *testing.T, b *s3lab.Bucket) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(b.Dir, "region", "north", "objects", "*", "*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// The main job with a bucket: from an appliance through it to the archive, with a large
// object among small ones, while the bucket is away for some time and the hub is killed.
func TestFromApplianceThroughABucketToTheArchive(t *testing.T) {
	b := s3lab.Start(t)
	s := newSite(t)
	s.withBucket(b)
	p := s.start()
	identity := s.enrol()
	source := uplinktest.NewSource()
	const objects, large = 60, 40 << 20
	for n := range objects {
		source.Add(uint64(n+1), 20_000+n*1000, 1)
	}
	source.Add(objects+1, large, 1)
	s.uplink(identity, source, func(*uplink.Uplink) bool {
		return source.Count(uplinktest.AtHub)+source.Count(uplinktest.Archived) > 20
	})
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = s.start() // while the bucket is away: it takes what is on the way, and is busy
	away := time.Now()
	s.uplink(identity, source, func(*uplink.Uplink) bool { return time.Since(away) > 2*time.Second })
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	s.uplink(identity, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == objects+1 })
	p.kill()
	for _, trouble := range source.Troubles {
		t.Errorf("trouble: %+v", trouble)
	}
	if n := inBucket(t, b); n != objects+1 {
		t.Errorf("%d objects in the bucket", n)
	}
	if here, _ := filepath.Glob(filepath.Join(s.dir, "data", "objects", "objects", "*", "*.dcm")); len(here) != 0 {
		t.Errorf("%d whole objects in data_dir", len(here))
	}
	if archived, _ := filepath.Glob(filepath.Join(s.archive, "*", "*.dcm")); len(archived) != objects+1 {
		t.Errorf("%d objects in the archive", len(archived))
	}
}

// A bucket that is full is busy to appliances: they keep what they have, what has come
// once does not come again, and when there is room all goes on by itself.
func TestAFullBucketCostsNoTransfer(t *testing.T) {
	b := s3lab.Start(t).Proxy(t)
	s := newSite(t)
	s.withBucket(b.Bucket)
	p := s.start()
	identity := s.enrol()
	b.Refuse(s3lab.Full, s3lab.Writes)
	source := uplinktest.NewSource()
	const objects, size, large = 20, 100_000, 18 << 20
	for n := range objects {
		source.Add(uint64(n+1), size, 1)
	}
	source.Add(objects+1, large, 1)
	var sent int64
	healed := false
	s.uplink(identity, source, func(u *uplink.Uplink) bool {
		sent = u.Status().BytesSent
		if !healed && sent >= objects*size+large {
			if source.Count(uplinktest.AtHub) > 0 {
				t.Error("a receipt for what the bucket did not take")
			}
			if _, text := get(t, "http://"+p.console+"/metrics"); !strings.Contains(text, "hubd_storage_up 0") {
				t.Error("nobody is told that the bucket is full")
			}
			healed = true
			b.Heal()
		}
		return source.Count(uplinktest.Archived) == objects+1
	})
	if sent != objects*size+large {
		t.Errorf("%d bytes were sent, of %d", sent, objects*size+large)
	}
}

// A hub whose bucket is not there, or does not know its keys, ends with what to do.
func TestABucketThatMustBeMendedIsNamedAtTheStart(t *testing.T) {
	b := s3lab.Start(t)
	for want, change := range map[string]func(*s3lab.Bucket){
		"there is no such bucket: make it, or mend the name in objects":                        func(b *s3lab.Bucket) { b.Name = "nobody-made-this" },
		"does not know our keys, or they are wrong: look into objects_credentials":             func(b *s3lab.Bucket) { b.SecretKey = "another" },
		"the server does not know our keys, or they are wrong: look into objects_credentials ": func(b *s3lab.Bucket) { b.AccessKey = "another" },
	} {
		s := newSite(t)
		other := *b
		change(&other)
		s.withBucket(&other)
		hub := s.command("run")
		late := time.AfterFunc(time.Minute, func() { hub.Process.Kill() })
		out, err := hub.CombinedOutput()
		late.Stop()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v\n got %s\nwant %s", err, out, want)
		}
		if strings.Contains(string(out), other.SecretKey) {
			t.Errorf("the secret key is told: %s", out)
		}
	}
}

func TestKeysOfTheBucketAreReadAsTheAWSToolsWriteThem(t *testing.T) {
	for text, want := range map[string]string{
		"[default]\naws_access_key_id = A\naws_secret_access_key=b/=\n":                                                                        "A b/= <nil>",
		"# keys\n[other]\naws_access_key_id=X\naws_secret_access_key=y\n[default]\naws_access_key_id=A\naws_secret_access_key=b\nregion = x\n": "A b <nil>",
		"aws_access_key_id=A\r\naws_secret_access_key=b\r\n":                                                                                   "A b <nil>",
		"[default]\naws_access_key_id = A\n":                                                                                                   "  no aws_access_key_id and aws_secret_access_key of [default]",
		"[other]\naws_access_key_id = A\naws_secret_access_key = b":                                                                            "  no aws_access_key_id and aws_secret_access_key of [default]",
		"":             "  no aws_access_key_id and aws_secret_access_key of [default]",
		"AKIASECRET\n": "  line 1: want NAME = VALUE",
	} {
		access, secret, err := awsKeys(strings.NewReader(text))
		if got := fmt.Sprintf("%s %s %v", access, secret, err); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTheKeysComeFromAFileOrTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	c := Default()
	c.Objects = "s3://images?endpoint=s3.hospital:9000"
	if _, key, err := c.bucket(); err == nil || key != "objects_credentials" {
		t.Errorf("without keys: %s %v", key, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "A")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	if b, _, err := c.bucket(); err != nil || b.AccessKey != "A" || b.SecretKey != "b" || !b.Secure {
		t.Errorf("environment: %v %v", b, err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("aws_access_key_id=F\naws_secret_access_key=g\n"), 0o604); err != nil {
		t.Fatal(err)
	}
	c.ObjectsCredentials, c.Objects = file, c.Objects+"&tls=false"
	if b, _, err := c.bucket(); err != nil || b.AccessKey != "F" || b.SecretKey != "g" || b.Secure {
		t.Errorf("file: %v %v", b, err)
	}
	words := strings.Join(c.objectsWarnings(), "\n")
	if !strings.Contains(words, "in the clear") || !strings.Contains(words, "chmod 600") {
		t.Errorf("warnings: %s", words)
	}
	c.Objects = ""
	if _, key, err := c.bucket(); err == nil || key != "objects_credentials" {
		t.Errorf("keys of no bucket: %s %v", key, err)
	}
}
