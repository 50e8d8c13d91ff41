package main

import (
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/internal/synth"
)

// element is one of a data set in Explicit VR Little Endian.
func element(group, number uint16, vr, value string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, number)
	b = append(b, vr...)
	if len(value)%2 == 1 {
		value += "\x00"
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// named is a data set that says these things about itself.
func named(n dicom.Names, study string) object {
	b := element(0x0008, 0x0016, "UI", n.SOPClass)
	b = append(b, element(0x0008, 0x0018, "UI", n.SOPInstance)...)
	b = append(b, element(0x0008, 0x0060, "CS", "OT")...)
	b = append(b, element(0x0010, 0x0010, "PN", "PROVA^OSTILE")...)
	b = append(b, element(0x0020, 0x000d, "UI", study)...)
	return object{n, append(b, element(0x0020, 0x000e, "UI", "2.25.7")...)}
}

// What a sender writes into a UID is text from a stranger: it reaches no path,
// no command, no page as it is, and the object is archived unchanged (SPOOL-10).
func TestHostileUIDsStayText(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", deliver).up()
	var objects []object
	for _, s := range []string{"../../../../evil", "/etc/evil", "..", ".", "a\\b", "<script>alert(1)</script>", "2.25.1; rm -rf /", "%2e%2e%2fevil", strings.Repeat("1.", 32) + "1", "NUL", ".incoming", " "} {
		names := dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.99." + s}
		if len(names.SOPInstance) > 64 {
			names.SOPInstance = "2.25.98"
		}
		objects = append(objects, named(names, s), named(dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: s}, "2.25.5"))
	}
	var taken []object
	c := r.associate("<b>CT1</b>", objects[0].need())
	for _, o := range objects {
		switch st := r.store(c, o); {
		case st.IsSuccess():
			o.names.SOPInstance = dicom.TrimUID(o.names.SOPInstance)
			taken = append(taken, o)
		default:
			t.Logf("SOP instance %q is answered %s", o.names.SOPInstance, st)
		}
	}
	if len(taken) < len(objects)-2 {
		t.Errorf("%d of %d were taken", len(taken), len(objects))
	}
	r.mustArriveOnce(r.keep(taken...))
	filepath.WalkDir(r.dir, func(name string, _ fs.DirEntry, err error) error {
		if base := filepath.Base(name); strings.Contains(base, "evil") || strings.Contains(base, "script") {
			t.Errorf("there is a file %s", name)
		}
		return err
	})
	if page := r.page0("/"); strings.Contains(page, "<script>alert") || strings.Contains(page, "<b>CT1") {
		t.Error("the page has text of a stranger as markup")
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
}

// Classes and transfer syntaxes that nobody has heard of are somebody's images.
func TestPrivateClassesAndSyntaxes(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	objects := []object{
		named(dicom.Names{TransferSyntax: explicitLE, SOPClass: "1.3.46.670589.2.4.1.1", SOPInstance: "2.25.11"}, "2.25.5"),
		named(dicom.Names{TransferSyntax: "1.2.840.113619.5.2", SOPClass: ctClass, SOPInstance: "2.25.12"}, "2.25.5"),
		named(dicom.Names{TransferSyntax: "1.3.6.1.4.1.99999.7", SOPClass: "1.3.6.1.4.1.99999.8", SOPInstance: "2.25.13"}, "2.25.5"),
	}
	r.storeAll(objects)
	r.mustArriveOnce(r.keep(objects...))
	r.mustHold(objects)
}

// Connections that say nothing, however many, lock no modality out and cost
// little (P9).
func TestSilentConnectionsLockNobodyOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", accept_unknown: true, max_associations: 8}`+"\n"+alone, "")
	r.startEdged()
	r.mustEcho("WARM")
	before := residentBytes(t, r.edged.cmd.Process.Pid)
	objects := synthetic(t, 9, synth.Bench(10, 256<<10))
	for i, o := range objects {
		for range 40 {
			c := r.dial()
			c.SetDeadline(time.Time{})
			if i%2 == 1 {
				c.Write([]byte{1, 0, 0, 0, 0}) // the beginning of a request
			}
		}
		c := r.associate("CT1", o.need())
		r.mustStore(c, o)
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if grown := residentBytes(t, r.edged.cmd.Process.Pid) - before; grown > 32<<20 {
		t.Errorf("400 silent connections took %d bytes", grown)
	}
	r.mustHold(objects)
}
