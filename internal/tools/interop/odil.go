package main

import "context"

var odil = &peer{name: "Odil", title: "ODIL", from: "Debian: odil",
	ready: func(ctx context.Context, l *lab) (string, error) {
		if err := debian(ctx, l, "odil", "odil"); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `Version: (\d[^-\s]*)`, "dpkg", "-s", "odil")
	},
	checks: odilChecks,
}

func odilChecks(_ context.Context, l *lab) ([]check, func(), error) {
	run := func(ctx context.Context, verb, port string, more ...string) error {
		_, err := l.call(ctx, "odil", append([]string{verb, "127.0.0.1", port, "ODIL", ourTitle}, more...)...)
		return err
	}
	ask := func(verb string) func(ctx context.Context, port string, q question) error {
		return func(ctx context.Context, port string, q question) error {
			root := "study"
			if q.patientRoot {
				root = "patient"
			}
			var keys []string
			for _, k := range keyed("", q.keys) {
				if k != "" {
					keys = append(keys, k)
				}
			}
			return run(ctx, verb, port, append([]string{root}, keys...)...)
		}
	}
	all := []check{{echoIn, rowEcho, "odil", func(ctx context.Context) (string, error) { return "", run(ctx, "echo", l.edged.port) }}}
	all = append(all, l.storeChecks(sender{"odil", func(ctx context.Context, port string, o object) error {
		return run(ctx, "store", port, o.path)
	}})...)
	all = append(all, l.queryChecks(querier{name: "odil", title: "ODIL", find: ask("find"), get: ask("get")})...)
	return all, func() {}, nil
}
