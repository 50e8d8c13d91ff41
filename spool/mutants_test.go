package spool

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// D-S10, SPOOL-26: each mutant breaks one promise by a build tag; the named
// tests must turn red for it. A mutant that stays green means that the suite
// proves nothing about that promise.
func TestMutantsAreCaught(t *testing.T) {
	if mutant != "none" {
		t.Skip("this is a mutant")
	}
	if testing.Short() {
		t.Skip("builds the package once for each mutant")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command to build the mutants")
	}
	for _, m := range []struct{ name, tests string }{
		{mutantNoFileSync, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantNoDirSync, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantNoParentSync, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantEarlyAnswer, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantNoSealCheck, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantEarlyDelete, "TestAcknowledgedSurvivesEveryCrashPoint"},
		{mutantNoSyncFS, "TestWhatRecoveryShowsIsOnTheDisk"},
		{mutantSecondSync, "TestFailedSyncIsFinal"},
		{mutantIndexAhead, "TestIndexWaitsForTheDisk"},
		{mutantClockOrder, "TestClockJumpsChangeNothing"},
		{mutantEarlyNote, "TestAcknowledgedSurvivesEveryCrashPoint"},
	} {
		mutantIsCaught(t, m.name, m.tests)
	}
}

func mutantIsCaught(t *testing.T, name, tests string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "mutant_"+name, "-vet=off", "-count=1", "-run", "^("+tests+")$", ".")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Errorf("mutant %s was not caught by %s", name, tests)
	case !errors.As(err, &exit) || !strings.Contains(string(out), "--- FAIL: Test"):
		t.Errorf("mutant %s: it did not come to a test: %v\n%s", name, err, out)
	default:
		t.Logf("mutant %s caught: %s", name, firstFailure(string(out)))
	}
}

func firstFailure(out string) string {
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "--- FAIL: ") && i+1 < len(lines) {
			return line[len("--- FAIL: "):] + " " + strings.TrimSpace(lines[i+1])
		}
	}
	return "?"
}
