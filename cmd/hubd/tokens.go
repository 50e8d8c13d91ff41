package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"text/tabwriter"
	"time"

	"edged/hub/ledger"
)

type tokenNewCmd struct {
	Name string `required:"" help:"Who or what it is for, as anna or prometheus."`
	Role string `required:"" help:"viewer, operator or admin."`
	TTL  string `default:"90d" placeholder:"TIME" help:"How long it is good, as 12h or 90d, or never."`
}

// Run prints the token alone on standard output. The first one can only be made
// here: whoever can do that has the data directory anyway.
func (c tokenNewCmd) Run(e *env) error {
	t, err := tokenWishes(NewTokenBody(c), time.Now())
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		text, hash := newToken()
		if err := l.AddToken(e.ctx, t, hash, actor()); err != nil {
			return err
		}
		fmt.Fprintln(e.out, text)
		until := "for ever"
		if !t.Expires.IsZero() {
			until = "until " + t.Expires.Format("2006-01-02 15:04 MST")
		}
		fmt.Fprintf(e.errOut, "For %s, role %s, good %s. It is shown this once. Send it as \"Authorization: Bearer TOKEN\", or log in to the console with it.\n", t.Name, t.Role, until)
		return nil
	})
}

type tokenLsCmd struct{}

func (tokenLsCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		all, err := l.Tokens(e.ctx, "", maxListed)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tSTATE\tCREATED BY\tEXPIRES\tLAST USED")
		for _, t := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.Role, tokenOf(t).State, t.CreatedBy, orNever(t.Expires), orNever(t.Used))
		}
		return w.Flush()
	})
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

type tokenRevokeCmd struct {
	Name string `arg:"" help:"As hubd token ls shows it."`
}

func (c tokenRevokeCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error { return l.RevokeToken(e.ctx, c.Name, actor()) })
}

type auditVerifyCmd struct {
	Last string `placeholder:"HASH" help:"A last hash that was kept elsewhere: a row of the chain must have it."`
}

func (c auditVerifyCmd) Run(e *env) error {
	kept, err := keptHash(c.Last)
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		v, err := l.VerifyAudit(e.ctx, kept...)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%d rows of the chain are as they were written, %d are older than it; last hash %s\n", v.Rows, v.Old, hex.EncodeToString(v.Last))
		if c.Last != "" {
			fmt.Fprintln(e.out, "the hash that was kept is one of them: nothing up to it was cut off")
			return nil
		}
		fmt.Fprintln(e.errOut, "Keep the last hash on another machine and give it to --last: only then is it seen when rows are cut off at the end, or all are written anew.")
		return nil
	})
}

// keptHash reads one that an export or audit verify has printed; "" is none.
func keptHash(text string) ([][]byte, error) {
	if text == "" {
		return nil, nil
	}
	hash, err := hex.DecodeString(text)
	if err != nil || len(hash) != sha256.Size {
		return nil, fmt.Errorf("last %.80q: want 64 hexadecimal digits, as hubd audit verify prints them", text)
	}
	return [][]byte{hash}, nil
}

type auditExportCmd struct{}

// Run writes JSON lines to standard output.
func (auditExportCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		if err := l.Audit(e.ctx, actor(), "audit export", "audit", ""); err != nil {
			return err
		}
		return writeAudit(e.out, func(do func(*ledger.Entry) error) error { return l.EachAudit(e.ctx, do) })
	})
}
