package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every command of the manual exists, with the flags that it is given there.
func TestTheManualsCommandsExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	shell := regexp.MustCompile(`\$\([^)]*\)`) // what a shell puts in
	command := regexp.MustCompile("(?m)(?:^    (?:sudo -u hubd )?|`)hubd ((?:[a-z-]|[a-z]+ )[^`\n|>]*)")
	seen := 0
	for _, m := range command.FindAllStringSubmatch(shell.ReplaceAllString(string(text), "X"), -1) {
		args := strings.Fields(m[1])
		if len(args) == 0 || args[0] == "does" || strings.Contains(m[1], " == ") {
			continue
		}
		seen++
		var out, errOut strings.Builder
		if code := run(t.Context(), append(args, "--help"), &out, &errOut); code != exitDone {
			t.Errorf("hubd %s: exit %d: %s", m[1], code, errOut.String())
			continue
		}
		for _, a := range args {
			if flag, _, _ := strings.Cut(a, "="); strings.HasPrefix(flag, "--") && !strings.Contains(out.String(), flag) {
				t.Errorf("hubd %s: it has no flag %s", m[1], flag)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}
