package page

import (
	"errors"
	"net/url"

	"edged/agent/account"
)

type accountsView struct {
	Rows  []accountRow
	Wrong string
	Name  string // typed for a new one
}

type accountRow struct {
	Name, Role    string
	Administrator bool
	Made, Changed string
	Locked        string // until when; "": not
	Open          string // sessions
	Own           bool
}

func (p *Page) accountsPage(rq *request) (any, error) {
	all, err := p.cfg.Accounts.List()
	if err != nil {
		return nil, err
	}
	q := rq.kept(typedSlip)
	v := accountsView{Rows: accountRows(all, rq)}
	if id := refusals[q.Get("wrong")]; id != "" {
		v.Wrong, v.Name = rq.W.Say(id), q.Get("name")
	}
	return v, nil
}

func accountRows(all []account.Account, rq *request) (rows []accountRow) {
	for _, a := range all {
		row := accountRow{Name: a.Name, Role: roleWord(rq.W, a.Role), Administrator: a.Role == account.Administrator, Own: a.Name == rq.Viewer.Name,
			Made: rq.W.moment(a.Made.In(rq.Now.Location()), rq.Now), Changed: rq.W.moment(a.Changed.In(rq.Now.Location()), rq.Now)}
		if !a.LockedUntil.IsZero() {
			row.Locked = rq.W.Say("accounts.locked", "time", rq.W.moment(a.LockedUntil.In(rq.Now.Location()), rq.Now))
		}
		if a.Sessions > 0 {
			row.Open = rq.W.Count("accounts.open", int64(a.Sessions))
		}
		rows = append(rows, row)
	}
	return rows
}

func roleWord(w *words, r account.Role) string {
	if r == account.Administrator {
		return w.Say("accounts.administrator")
	}
	return w.Say("accounts.technician")
}

func (p *Page) accountDeeds() []deed {
	b := p.cfg.Accounts
	change := func(notice string, do func(rq *request, by account.Actor, name string) error) func(*request) (outcome, error) {
		return func(rq *request) (outcome, error) {
			return p.changed(rq, notice, do(rq, rq.Viewer.Actor(), rq.PostForm.Get("name")))
		}
	}
	return []deed{
		{"/accounts/add", account.Administrator, change("account_made", func(rq *request, by account.Actor, name string) error {
			role, err := account.ParseRole(rq.PostForm.Get("role"))
			if err != nil {
				return account.ErrRole
			}
			return b.Add(rq.Context(), by, name, rq.PostForm.Get("password"), role)
		})},
		{"/accounts/role", account.Administrator, change("account_changed", func(rq *request, by account.Actor, name string) error {
			role, err := account.ParseRole(rq.PostForm.Get("role"))
			if err != nil {
				return account.ErrRole
			}
			return b.SetRole(by, name, role)
		})},
		{"/accounts/password", account.Administrator, change("account_changed", func(rq *request, by account.Actor, name string) error {
			return b.SetPassword(rq.Context(), by, name, rq.PostForm.Get("password"))
		})},
		{"/accounts/unlock", account.Administrator, change("account_freed", func(_ *request, by account.Actor, name string) error {
			return b.Unlock(by, name)
		})},
		{"/accounts/remove", account.Administrator, change("account_removed", func(rq *request, by account.Actor, name string) error {
			if rq.PostForm.Get("sure") == "" {
				return errNotSure
			}
			return b.Remove(by, name)
		})},
	}
}

var errNotSure = errors.New("the box was not ticked")

// changed is back at the list, with what was done or why it was not.
func (p *Page) changed(rq *request, notice string, err error) (outcome, error) {
	if err == nil {
		return outcome{to: "/accounts", notice: notice}, nil
	}
	id := refusal(err)
	if id == "" {
		return outcome{}, err
	}
	q := url.Values{"wrong": {id}}
	if name := rq.PostForm.Get("name"); rq.URL.Path == "/accounts/add" && len(name) <= 64 {
		q.Set("name", name)
	}
	rq.typed = q
	return outcome{to: "/accounts"}, nil
}

// refusals are the words for what an account cannot be, by a name for addresses.
var refusals = map[string]string{
	"name": "accounts.badname", "short": "accounts.short", "long": "accounts.long", "guessable": "accounts.guessable", "exists": "accounts.exists",
	"full": "accounts.full", "last": "accounts.last", "unknown": "accounts.unknown", "role": "accounts.badrole", "sure": "accounts.notsure",
	"busy": "login.busy", "over": "refused.over",
}

// refusal is the name of why, "" where it is none that whoever asks could put right.
func refusal(err error) string {
	for why, name := range map[error]string{
		account.ErrName: "name", account.ErrShort: "short", account.ErrLong: "long", account.ErrGuessable: "guessable", account.ErrExists: "exists",
		account.ErrFull: "full", account.ErrLast: "last", account.ErrUnknown: "unknown", account.ErrRole: "role", errNotSure: "sure",
		account.ErrBusy: "busy", account.ErrNoSession: "over",
	} {
		if errors.Is(err, why) {
			return name
		}
	}
	return ""
}
