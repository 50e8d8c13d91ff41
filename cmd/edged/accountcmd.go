package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"edged/agent/account"
	"edged/internal/audit"
)

// accountCmd is who may log in to the page. There is no first password: whoever
// installs the appliance makes the first administrator here.
type accountCmd struct {
	Add      accountAddCmd      `cmd:"" help:"A new account; the password is asked for, or read with --password-stdin."`
	List     accountListCmd     `cmd:"" help:"Names, roles, since when, and who is locked out."`
	Role     accountRoleCmd     `cmd:"" help:"Another role; logs the person out."`
	Password accountPasswordCmd `cmd:"" help:"A new password; logs the person out and ends a lock-out."`
	Remove   accountRemoveCmd   `cmd:"" help:"Take an account away; logs the person out."`
	Unlock   accountUnlockCmd   `cmd:"" help:"End the wait after too many wrong passwords."`
}

type accountAddCmd struct {
	configFlag
	Role          string `enum:"technician,administrator" default:"technician" help:"technician (names of persons, sending again, tests) or administrator (also devices, certificates, accounts)."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input."`
	Name          string `arg:"" help:"1 to 32 of a-z 0-9 . _ -"`
}

func (c *accountAddCmd) Run(p *process) error {
	b, by, err := peopleHere(c.Config)
	if err != nil {
		return err
	}
	role, err := account.ParseRole(c.Role)
	if err != nil {
		return usageError{err}
	}
	password, err := newPassword(p, c.PasswordStdin, c.Name)
	if err != nil {
		return err
	}
	if err := b.Add(p.ctx, by, c.Name, password, role); err != nil {
		return err
	}
	all, err := b.List()
	for _, a := range all {
		if a.Role == account.Administrator {
			return err
		}
	}
	fmt.Fprintln(p.stderr, "there is no administrator yet: edged account role NAME administrator")
	return err
}

type accountListCmd struct{ configFlag }

func (c *accountListCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	locked, known := lockedOut(p.ctx, &cfg) // before root becomes somebody else
	b, _, err := peopleHere(c.Config)
	if err != nil {
		return err
	}
	all, err := b.List()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stderr, "there is no account: edged account add NAME --role administrator")
	}
	return printAccounts(p.stdout, all, locked, known)
}

// printAccounts says who is locked out, where a daemon runs and knows it.
func printAccounts(out io.Writer, all []account.Account, locked map[string]time.Time, known bool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tMADE\tCHANGED\tLOCKED UNTIL")
	for _, a := range all {
		until := "no"
		if at, is := locked[a.Name]; is {
			until = at.UTC().Format("2006-01-02T15:04:05Z")
		} else if !known {
			until = "not known"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.Name, a.Role, a.Made.Format("2006-01-02T15:04:05Z"), a.Changed.Format("2006-01-02T15:04:05Z"), until)
	}
	return w.Flush()
}

// lockedOut asks the daemon, which counts wrong passwords; known is false where none runs.
func lockedOut(ctx context.Context, cfg *Config) (until map[string]time.Time, known bool) {
	d := findDaemon(ctx, cfg)
	if d == nil || d.ask(ctx, http.MethodGet, "/locked", nil, &until) != nil {
		return nil, false
	}
	return until, true
}

type accountRoleCmd struct {
	configFlag
	Name string `arg:""`
	Role string `arg:"" enum:"technician,administrator" help:"technician or administrator."`
}

func (c *accountRoleCmd) Run(*process) error {
	b, by, err := peopleHere(c.Config)
	if err != nil {
		return err
	}
	role, err := account.ParseRole(c.Role)
	if err != nil {
		return usageError{err}
	}
	return b.SetRole(by, c.Name, role)
}

type accountPasswordCmd struct {
	configFlag
	PasswordStdin bool   `help:"Read the password from the first line of standard input."`
	Name          string `arg:""`
}

func (c *accountPasswordCmd) Run(p *process) error {
	b, by, err := peopleHere(c.Config)
	if err != nil {
		return err
	}
	password, err := newPassword(p, c.PasswordStdin, c.Name)
	if err != nil {
		return err
	}
	return b.SetPassword(p.ctx, by, c.Name, password)
}

// accountNamed is all that a command needs that does one thing to one account.
type accountNamed struct {
	configFlag
	Name string `arg:""`
}

func (c *accountNamed) do(deed func(b *account.Book, by account.Actor, name string) error) error {
	b, by, err := peopleHere(c.Config)
	if err != nil {
		return err
	}
	return deed(b, by, c.Name)
}

type accountRemoveCmd struct{ accountNamed }

func (c *accountRemoveCmd) Run(*process) error { return c.do((*account.Book).Remove) }

type accountUnlockCmd struct{ accountNamed }

func (c *accountUnlockCmd) Run(*process) error { return c.do((*account.Book).Unlock) }

// peopleHere are the accounts of this machine, for a command, whether the daemon runs
// or not, and who gives it.
func peopleHere(file string) (*account.Book, account.Actor, error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, account.Actor{}, err
	}
	by := account.Actor{Name: whoami()} // before it becomes somebody else
	if err := becomeOwner(cfg.DataDir); err != nil {
		return nil, by, err
	}
	trail := func() (*audit.Log, error) {
		key, err := cfg.spoolKey()
		if err != nil {
			return nil, fmt.Errorf("nothing was done, because it could not be recorded: %w", err)
		}
		return newTrail(&cfg, key), nil
	}
	who := func(a account.Actor) string { return a.Name + " (command)" }
	return account.New(account.Config{Path: filepath.Join(cfg.DataDir, accountsFile), Audit: accountRows{trail, who}}), by, nil
}

// becomeOwner turns root into the user whose directory it is, for good: what root
// writes there the daemon could not read. Who asked is known before.
func becomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data_dir %s is not there yet: start edged once, or make it for its user", dir)
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	if err := errors.Join(syscall.Setgroups(groupsOf(int(st.Uid), int(st.Gid))), syscall.Setresgid(int(st.Gid), int(st.Gid), int(st.Gid)),
		syscall.Setresuid(int(st.Uid), int(st.Uid), int(st.Uid))); err != nil {
		return fmt.Errorf("become %s, whose %s is: %w", userName(int(st.Uid)), dir, err)
	}
	return nil
}

// groupsOf a user: the key of the spool may be sealed by a TPM that only a group opens.
func groupsOf(uid, otherwise int) []int {
	groups := []int{otherwise}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return groups
	}
	ids, _ := u.GroupIds() // without, only the key of a TPM is out of reach, and that is told
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			groups = append(groups, n)
		}
	}
	return groups
}
