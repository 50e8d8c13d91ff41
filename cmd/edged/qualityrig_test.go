package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/internal/dicom"
)

// From C-STORE to the page: an examination with a wrong codice fiscale is archived and
// told, one that is cut waits at the hub, and nobody's name or number is in a log, a
// metric, a list or in clear on the disk (P10).
func TestWrongDataIsToldAndNobodyNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, "quality: {hold: true}\n", "").up()
	today := time.Now().Format("20060102")
	wrong := goodExam().with(exam{0x00080018: {"UI", "2.25.71.1"}, 0x0020000D: {"UI", "2.25.71"}, 0x00080020: {"DA", today},
		0x00100010: {"PN", "Segretissimi^Pio"}, 0x00100020: {"LO", "SGRPIO72H26F941A"}, 0x00100030: {"DA", "19720626"}, 0x00080050: {"SH", "ACC-SEGRETA-1"}, 0x00081030: {"LO", "Descrizione segreta"}})
	cut := goodExam().with(exam{0x00080018: {"UI", "2.25.72.1"}, 0x0020000D: {"UI", "2.25.72"}, 0x00080020: {"DA", today}, 0x00080050: {"SH", "B2"}})
	of := func(e exam, missing int) object {
		data := e.bytes()
		return object{dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: e[0x00080018][1]}, data[:len(data)-missing]}
	}
	a, b := of(wrong, 0), of(cut, 6)
	r.mustStore(r.associate("CT1", a.need()), a, b)
	r.await("the wrong one to be archived and the cut one to be held", func() bool {
		rows := r.rows()
		return rows[a.id()].State == "archived" && rows[b.id()].State == "held"
	})
	r.await("the reason to look", func() bool {
		for _, reason := range r.status().Reasons {
			if reason.Code == status.ToFix && reason.Count == 2 {
				return true
			}
		}
		return false
	})
	page := r.page0("/fix?lang=it")
	for _, want := range []string{"Codice fiscale", "Immagini incomplete o illeggibili", "CT1", "In attesa al centro regionale"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page To fix lacks %q", want)
		}
	}
	said := map[string]string{"log": r.edged.said.String(), "hub's log": r.hubd.said.String(), "page": page, "state": r.page0("/"), "status": r.page0("/api/v1/status"), "studies": r.page0("/api/v1/studies"), "metrics": r.page0("/metrics"),
		"spool ls": r.must("edged", "spool", "ls", "-c", r.path("edged.yaml")), "spool studies": r.must("edged", "spool", "studies", "-c", r.path("edged.yaml")), "edged status": r.must("edged", "status", "-c", r.path("edged.yaml"))}
	ok(t, filepath.WalkDir(r.path("edge"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // gone meanwhile, or a socket
		}
		text, err := os.ReadFile(name)
		if err == nil {
			said[name] = string(text)
		}
		return nil
	}))
	for where, text := range said {
		for _, secret := range []string{"egretissimi", "SGRPIO72H26F941A", "19720626", "ACC-SEGRETA", "Descrizione"} {
			if bytes.Contains([]byte(text), []byte(secret)) {
				t.Errorf("%s has %q in it", where, secret)
			}
		}
	}
	if len(said) < 15 {
		t.Errorf("looked at %d places only", len(said))
	}
}
