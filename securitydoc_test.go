package edged_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const securityDocument = "docs/security.md"

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Tests, files, alerts and metrics that stand in the security document for a claim are there.
func TestTheSecurityDocumentNamesWhatIsThere(t *testing.T) {
	doc := readText(t, securityDocument)
	there := make(map[string]bool)
	list := exec.Command("grep", "-rhoE", "--include=*_test.go", "^func Test[A-Za-z0-9_]+", ".")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(out)) {
		there[line] = true
	}
	names := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(doc, -1)
	if len(names) < 40 {
		t.Errorf("%d tests are named", len(names))
	}
	for _, m := range names {
		if !there[m[1]] {
			t.Errorf("%s is no test", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`((?:cmd|agent|internal|configs|docs)/[A-Za-z0-9_./-]+)`").FindAllStringSubmatch(doc, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	alerts, metrics := readText(t, "configs/alerts.yaml"), readText(t, "docs/metrics.md")
	for _, m := range regexp.MustCompile("`(Edged[A-Z][A-Za-z]+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(alerts, "alert: "+m[1]+"\n") {
			t.Errorf("%s is no alert", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(edged_[a-z_]+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(metrics, "`"+m[1]+"`") {
			t.Errorf("%s is no metric", m[1])
		}
	}
}

// aPort is one in a configuration: of an address to listen on or to call, or one in words.
var aPort = regexp.MustCompile(`[":A-Za-z0-9.\]](?::)(\d{3,5})\b|port[^0-9\n]{0,30}?\b(\d{3,5})\b`)

// Whoever opens a firewall by the port sheet alone has opened every port that the
// configurations name, and each key that makes a port is in it.
func TestThePortSheetNamesEveryPort(t *testing.T) {
	doc := readText(t, securityDocument)
	_, sheet, _ := strings.Cut(doc, "\n## Port sheet")
	sheet, _, _ = strings.Cut(sheet, "\n## ")
	listed := regexp.MustCompile(`\b\d{2,5}\b`).FindAllString(sheet, -1)
	found := 0
	for _, file := range []string{"configs/edged.yaml", "configs/hubd.yaml"} {
		for _, line := range strings.Split(readText(t, file), "\n") {
			if !strings.Contains(line, "listen") && !strings.Contains(line, "server:") {
				continue
			}
			for _, m := range aPort.FindAllStringSubmatch(line, -1) {
				found++
				if port := m[1] + m[2]; !slices.Contains(listed, port) {
					t.Errorf("%s: port %s is not in the port sheet: %s", file, port, strings.TrimSpace(line))
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d ports were found in the configurations", found)
	}
	for _, key := range []string{"dicom.listen", "dicom.tls.listen", "dicom.devices[].port", "page.listen", "uplink.hubs", "uplink.proxy", "syslog.server", "discovery.enabled"} {
		if !strings.Contains(sheet, "`"+key+"`") {
			t.Errorf("%s is not in the port sheet", key)
		}
	}
	for _, port := range []string{"11112", "104", "2762", "8080", "8443", "6514", "123", "53", "5353"} {
		if !slices.Contains(listed, port) {
			t.Errorf("port %s is not in the port sheet", port)
		}
	}
}
