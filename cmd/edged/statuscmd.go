package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// statusCmd says in the terminal what the page says.
type statusCmd struct {
	configFlag
	JSON     bool   `help:"The body of /api/v1/status."`
	Language string `placeholder:"it|en|de" help:"Say it in this language. Default: the terminal's (LC_ALL, LC_MESSAGES, LANG), if it is one of these; else English."`
}

// Validate is called by the parser of the command line.
func (c *statusCmd) Validate() error {
	if c.Language != "" && page.LanguageOf(c.Language) != c.Language {
		return fmt.Errorf("--language is it, en or de, not %q", c.Language)
	}
	return nil
}

func (c *statusCmd) language() string {
	return cmp.Or(c.Language, page.LanguageOf(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")))
}

func (c *statusCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	d, err := theDaemon(p.ctx, &cfg)
	if err != nil {
		return err
	}
	st, err := d.status(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		return out.Encode(st)
	}
	lang := c.language()
	st = inZone(st, cfg)
	now := time.Now().In(st.At.Location())
	return printStatus(p.stdout, st, now, lang, besides(p.ctx, d, now, lang)...)
}

// besides is what the daemon says that is not in its status: an older one says nothing.
func besides(ctx context.Context, d *client, now time.Time, lang string) (out []page.Fact) {
	var door page.Door
	if d.ask(ctx, http.MethodGet, "/page", nil, &door) == nil {
		out = append(out, door.Said(lang))
	}
	var trail syslogStatus
	if d.ask(ctx, http.MethodGet, "/repository", nil, &trail) == nil {
		out = append(out, trail.said().Said(now, lang))
	}
	return out
}

// inZone has the times said by the facility's clock, as the page says them.
func inZone(st status.Status, cfg Config) status.Status {
	if zone, err := time.LoadLocation(cfg.Facility.TimeZone); err == nil {
		st.At = st.At.In(zone)
	}
	return st
}

// printStatus says what the page says: the state, and below an empty line, in columns of
// their own, the figures.
func printStatus(out io.Writer, st status.Status, now time.Time, lang string, more ...page.Fact) error {
	w := tabwriter.NewWriter(out, 18, 4, 2, ' ', 0)
	for _, fact := range append(page.Terminal(st, now.In(st.At.Location()), lang), more...) {
		if fact == (page.Fact{}) {
			fmt.Fprintln(w) // columns end here
			continue
		}
		fmt.Fprintf(w, "%s\t%s\n", fact.What, fact.Says)
	}
	return w.Flush()
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}

func inBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n), -1
	for v >= unit && i < 4 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[i])
}
