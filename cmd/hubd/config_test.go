package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/config"
)

func TestExampleConfigurationSaysWhatTheCodeDoes(t *testing.T) {
	c := Default()
	if err := config.CheckExample("../../configs/hubd.yaml", &c); err != nil {
		t.Error(err)
	}
}

// The commented destinations of the example are good as they stand.
func TestExampleDestinationsLoad(t *testing.T) {
	text, err := os.ReadFile("../../configs/hubd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "destinations:"):
			continue
		case strings.HasPrefix(line, "#   "):
			line = line[1:]
		}
		if strings.HasPrefix(line, "   - name: vna") {
			out = append(out, "destinations:\n")
		}
		out = append(out, line)
	}
	c := Default()
	if err := config.Decode("example", []byte(strings.Join(out, "")), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Destinations) != 3 || !c.Destinations[0].Required || c.Destinations[2].Required || c.Destinations[2].Confirm != "dir" || c.Destinations[0].Confirm != "commitment" ||
		c.Destinations[1].Confirm != "stow" || c.Destinations[1].Auth.User != "hubd" || len(c.Destinations[0].For.Modalities) != 2 {
		t.Errorf("got %+v", c.Destinations)
	}
	if w := strings.Join(c.warnings(), "\n"); !strings.Contains(w, "dicom.listen is empty") {
		t.Errorf("no warning that most archives cannot report: %q", w)
	}
}

func TestCheckWarnsOfWhatConfirmMeans(t *testing.T) {
	const vna = "destinations: [{name: a, type: cstore, address: 'h:1', ae_title: A, confirm: "
	for text, want := range map[string]string{
		vna + "success}]":                               "its C-STORE Success counts as archived",
		vna + "commitment}]":                            "dicom.listen is empty: reports of storage commitment are taken only",
		vna + "success}]\ndicom: {listen: ':11113'}":    "nobody is admitted there",
		vna + "commitment}]\nconflict: deliver":         "a commitment counts also for a SOP Instance UID with two contents",
		vna + "commitment}]\ndicom: {listen: ':11113'}": "",
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		if code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut); code != exitDone || !strings.Contains(errOut.String(), want) {
			t.Errorf("%s: exit %d, %s", text, code, errOut.String())
		}
		if want == "" && (strings.Contains(errOut.String(), "dicom") || strings.Contains(errOut.String(), "confirm")) {
			t.Errorf("%s: needless warning: %s", text, errOut.String())
		}
	}
}

func TestConfigurationErrorsNameFileLineKeyAndExitTwo(t *testing.T) {
	const cstore = "destinations:\n- {name: a, type: cstore, address: 'h:1', ae_title: A"
	for text, want := range map[string]string{
		"data_dri: x":                                    "1: data_dri: unknown key; did you mean data_dir?",
		"\nlog: {level: loud}":                           `2: log.level: "loud" is not one of debug, info, warn, error`,
		"database: mysql://x":                            "1: database: want postgres://",
		"objects: s3://images":                           "1: objects: endpoint=: want HOST:PORT of the S3 server",
		"listen: '8443'":                                 `1: listen: "8443" is not HOST:PORT`,
		cstore + "}":                                     "2: destinations[0].confirm: write commitment if",
		"dicom: {listen: '11113'}":                       `1: dicom.listen: "11113" is not HOST:PORT`,
		`dicom: {ae_title: "A\\B"}`:                      `1: dicom.ae_title: "A\\B" is no AE title`,
		cstore + ", confirm: success, associations: 0}":  "2: destinations[0].associations: 0: want 1 to 64",
		cstore + ", confirm: success, create: true}":     "2: destinations[0].create: is for a dir",
		"destinations:\n- name: a\n  type: dir":          "2: destinations[0].path: is missing",
		"destinations:\n- {name: A, type: dir, path: x}": `2: destinations[0].name: "A": want 1 to 32 small letters`,
		"destinations:\n- {name: a, type: dir, path: x}\n- {name: a, type: dir, path: y}": `3: destinations[1].name: "a" is used twice`,
		"receipts: {fold_after: 1h}": "1: receipts.fold_after: 1h0m0s: want at least 24h",
		"receipts: {keep: 1h}":       "1: receipts.keep: 1h0m0s: want at least fold_after",
		"conflict: maybe":            `1: conflict: "maybe" is not one of hold, deliver`,
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"check", "run"} {
			var out, errOut strings.Builder
			code := run(t.Context(), []string{command, "-c", path}, &out, &errOut)
			if code != exitUsage || !strings.HasPrefix(errOut.String(), "hubd: "+path+":"+want) || strings.Count(errOut.String(), "\n") != 1 {
				t.Errorf("%s %q: exit %d\n got %s\nwant %s:%s", command, text, code, errOut.String(), path, want)
			}
		}
	}
}

func TestCommandLineErrorsExitTwoInOneLine(t *testing.T) {
	t.Setenv("HUBD_DATA_DIR", t.TempDir())
	for args, want := range map[string]string{
		"":                                    "expected one of",
		"fly":                                 "unexpected argument fly",
		"code new":                            "missing flags: --facility",
		"code new --facility a/b":             `facility "a/b": want`,
		"code new --facility F --ttl forever": `ttl "forever": want`,
		"objects release xyz":                 "want 64 hexadecimal digits",
		"check -c /nonexistent/hubd.yaml":     "no such file",
	} {
		var out, errOut strings.Builder
		code := run(t.Context(), strings.Fields(args), &out, &errOut)
		if code != exitUsage || !strings.Contains(errOut.String(), want) || strings.Count(errOut.String(), "\n") != 1 {
			t.Errorf("%q: exit %d, got %q, want %q", args, code, errOut.String(), want)
		}
	}
}
