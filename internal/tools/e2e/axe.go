package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// axe-core as the npm registry has it; what is fetched has to be this.
const (
	axeVersion   = "4.14.1"
	axeURL       = "https://registry.npmjs.org/axe-core/-/axe-core-" + axeVersion + ".tgz"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==" // SHA-512
	axeLimit     = 20 << 20
)

// axeScript is axe.min.js, from the cache or the registry.
func axeScript(ctx context.Context, cache string) (string, error) {
	path := filepath.Join(cache, "axe-core-"+axeVersion+".tgz")
	packed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if packed, err = fetchAxe(ctx); err != nil {
			return "", fmt.Errorf("axe-core %s is not in %s and cannot be fetched, accessibility is not looked at: %w", axeVersion, cache, err)
		}
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, packed, 0o644); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", err
	}
	if sum := sha512.Sum512(packed); base64.StdEncoding.EncodeToString(sum[:]) != axeIntegrity {
		return "", errors.Join(fmt.Errorf("%s is not axe-core %s as it was published; removed", path, axeVersion), os.Remove(path))
	}
	return unpack(packed, "package/axe.min.js")
}

func fetchAxe(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, axeURL, nil)
	if err != nil {
		return nil, err
	}
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		return nil, err
	}
	defer rs.Body.Close()
	if rs.StatusCode != http.StatusOK {
		return nil, errors.New(rs.Status)
	}
	return io.ReadAll(io.LimitReader(rs.Body, axeLimit))
}

func unpack(packed []byte, name string) (string, error) {
	z, err := gzip.NewReader(strings.NewReader(string(packed)))
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if h.Name == name {
			b, err := io.ReadAll(io.LimitReader(r, axeLimit))
			return string(b), err
		}
	}
}

// violation is what axe-core finds.
type violation struct {
	ID    string
	Nodes []string
}

const runAxe = `axe.run(document, {runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}, resultTypes: ["violations"]})
	.then(r => r.violations.map(v => ({id: v.id, nodes: v.nodes.map(n => n.target.join(" ") + "  " + n.html.slice(0, 160) + "  " + [...n.any, ...n.all, ...n.none].map(c => c.message).join("; ").slice(0, 200))})))`

// axe runs axe-core on every page, in each language, for anybody and for the
// administrator.
func axe(ctx context.Context, p *play) error {
	script, err := axeScript(ctx, p.cache)
	if err != nil {
		return err
	}
	return p.everywhere(ctx, func(t *tab, f found, language string) error {
		p.axed[f.pattern], p.spoken[language], p.looked[seen{p.routeFor(f.path), language, f.in}] = true, true, true
		return p.axeOn(t, script, fmt.Sprintf("%s (%s, logged in %v)", f.path, language, f.in))
	})
}

// axeOn looks at what a tab shows now.
func (p *play) axeOn(t *tab, script, where string) error {
	var ignored any
	if err := t.eval(script+";0", &ignored); err != nil {
		return fmt.Errorf("axe-core does not start: %w", err)
	}
	var list []violation
	if err := t.eval(runAxe, &list); err != nil {
		return err
	}
	for _, v := range list {
		for _, n := range v.Nodes {
			p.violations++
			p.wrong("%s: %s: %s", where, v.ID, n)
		}
	}
	return nil
}

// everywhere visits every page in each language, as who may see it.
func (p *play) everywhere(ctx context.Context, look func(t *tab, f found, language string) error) error {
	for _, language := range []string{"it", "en", "de"} {
		if err := p.each(ctx, language, func(t *tab, f found) error { return look(t, f, language) }); err != nil {
			return err
		}
	}
	return nil
}

// each visits every page in a language of the browser, as who may see it.
func (p *play) each(ctx context.Context, language string, look func(*tab, found) error) error {
	for _, in := range []bool{false, true} {
		t, err := p.viewer(ctx, language, in)
		if err != nil {
			return err
		}
		err = p.visit(ctx, t, p.some(), in, look)
		t.close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *play) visit(ctx context.Context, t *tab, pages []found, in bool, look func(*tab, found) error) error {
	for _, f := range pages {
		if f.in != in {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := t.open(f.path); err != nil {
			return err
		}
		if err := look(t, f); err != nil {
			p.wrong("%s: %v", f.path, err)
		}
	}
	return nil
}
