package account

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFileIsItsOwners(t *testing.T) {
	p := newPlace(t)
	for name, want := range map[string]os.FileMode{p.cfg.Path: 0o600, p.cfg.Path + ".lock": 0o600, filepath.Dir(p.cfg.Path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// What root writes in the daemon's folder the daemon could not read.
func TestRootDoesNotWriteInAnothersFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	p := newPlace(t)
	if err := os.Chown(filepath.Dir(p.cfg.Path), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := p.Unlock(root, "bruno"); err == nil || !strings.Contains(err.Error(), "sudo -u") || len(p.events) != 0 {
		t.Errorf("got %v, told %v", err, p.events)
	}
}

func sample() []record {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	r := record{"anna", Administrator, decoy(cheap).String(), newStamp(), 3, at, at.Add(time.Hour)}
	s := r
	s.Name, s.Role = "bruno", Technician
	return []record{r, s}
}

func TestFileReadsAsWritten(t *testing.T) {
	want := sample()
	data, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(data)
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, %v", got, err)
	}
	many := make([]record, 0, maxAccounts)
	for i := range maxAccounts {
		r := want[0]
		r.Name, r.Password = strings.Repeat("x", 30)+string(rune('a'+i/26))+string(rune('a'+i%26)), strings.Replace(r.Password, "m=8,t=1,p=1", "m=262144,t=16,p=16", 1)
		many = append(many, r)
	}
	if data, err = encode(many); err != nil || len(data) > maxFile {
		t.Errorf("as many as there may be: %d bytes, %v", len(data), err)
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for what, damage := range map[string]func(*record){
		"name":            func(r *record) { r.Name = "Anna" },
		"no name":         func(r *record) { r.Name = "" },
		"same name":       func(r *record) { r.Name = "bruno" },
		"no hash":         func(r *record) { r.Password = "" },
		"plain password":  func(r *record) { r.Password = pass },
		"no stamp":        func(r *record) { r.Stamp = "" },
		"another stamp's": func(r *record) { r.Stamp = "AAAA" },
		"role":            func(r *record) { r.Role = 3 },
	} {
		all := sample()
		damage(&all[0])
		if _, err := encode(all); err == nil {
			t.Errorf("%s: written", what)
		}
		data, err := json.Marshal(file{version, all})
		if err != nil {
			continue // a role that has no word
		}
		if got, err := parse(data); err == nil {
			t.Errorf("%s: read as %v", what, got)
		}
	}
	good, _ := encode(sample())
	for _, bad := range []string{"", "null", "[]", "{}", `{"version":1}{}`, string(good) + "x", strings.Replace(string(good), "freed", "fled", 1),
		strings.Replace(string(good), "technician", "viewer", 1), strings.Repeat(" ", maxFile) + string(good)} {
		if got, err := parse([]byte(bad)); err == nil {
			t.Errorf("%.40q is %v", bad, got)
		}
	}
}

// What is read is sound, and is read the same when it is written again.
func FuzzParse(f *testing.F) {
	good, _ := encode(sample())
	f.Add(good)
	f.Add([]byte(`{"version":1,"accounts":null}`))
	f.Add([]byte(`{"version":1,"accounts":[{"name":"a","role":"technician","password":"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA","stamp":"AAAAAAAAAAAAAAAAAAAAAA","freed":4294967295,"made":"2026-11-23T08:00:00+01:00","changed":"0001-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parse(data)
		if err != nil {
			return
		}
		for _, r := range all {
			if h, err := parsePHC(r.Password); err != nil || h.kib > maxKiB || !validName(r.Name) || !r.Role.May(Technician) {
				t.Fatalf("taken: %+v", r)
			}
		}
		again, err := encode(all)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		same, err := parse(again)
		if len(again) > maxFile {
			return // two times as long in our hand: nothing that we wrote
		}
		if err != nil || len(same) != len(all) {
			t.Fatalf("%d, then %d: %v", len(all), len(same), err)
		}
		for i, r := range all {
			s := same[i]
			if !r.Made.Equal(s.Made) || !r.Changed.Equal(s.Changed) {
				t.Fatalf("times: %+v, %+v", r, s)
			}
			r.Made, r.Changed, s.Made, s.Changed = time.Time{}, time.Time{}, time.Time{}, time.Time{}
			if r != s {
				t.Fatalf("%+v, then %+v", r, s)
			}
		}
	})
}
