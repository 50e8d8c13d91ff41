package main

import (
	"context"
	"errors"
	"strings"
)

var gdcm = &peer{name: "GDCM", title: "GDCM", from: "Debian: libgdcm-tools",
	ready: func(ctx context.Context, l *lab) (string, error) {
		if err := debian(ctx, l, "gdcmscu", "libgdcm-tools"); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `gdcm (\d\S+)`, "gdcmscu", "--version")
	},
	checks: gdcmChecks,
}

// atItsEnd is what gdcmscu 3.0.21 of Debian dies of, with any peer, after it has
// released its association and when all is done: its exit code says nothing. What
// counts is the wire.
const (
	atItsEnd = "ProtocolStream as nullptr is invalid"
	crashes  = "gdcmscu of Debian 12 aborts when all is done and the association is released, with DCMTK as well; what counts here is what was on the wire"
)

// tags are the keys as gdcmscu wants them.
var tags = map[string]string{"StudyInstanceUID": "20,d", "SeriesInstanceUID": "20,e", "SOPInstanceUID": "8,18", "PatientID": "10,20", "PatientName": "10,10"}

func gdcmChecks(ctx context.Context, l *lab) ([]check, func(), error) {
	scu := func(ctx context.Context, port string, args ...string) error {
		said, err := l.call(ctx, "gdcmscu", append(append([]string{"--aetitle", "GDCM", "--call", ourTitle}, args...), "127.0.0.1", port)...)
		if strings.Contains(said, atItsEnd) {
			return nil
		}
		return err
	}
	all := []check{{echoIn, rowEcho, "gdcmscu", func(ctx context.Context) (string, error) {
		t, err := newTap("127.0.0.1:0", l.edged.address())
		if err != nil {
			return "", err
		}
		err = scu(ctx, t.port(), "--echo")
		return crashes, errors.Join(err, ended(t.close(), cEchoResponse))
	}}}
	all = append(all, l.storeChecks(sender{"gdcmscu", func(ctx context.Context, port string, o object) error {
		return scu(ctx, port, "--store", "-i", o.path)
	}})...)
	all = append(all, l.queryChecks(l.gdcmQuerier(scu))...)
	return all, func() {}, nil
}

// gdcmQuerier moves to itself only: the title that it calls with.
func (l *lab) gdcmQuerier(scu func(ctx context.Context, port string, args ...string) error) querier {
	ask := func(verb string) func(ctx context.Context, port string, q question) error {
		return func(ctx context.Context, port string, q question) error {
			args := append([]string{verb}, gdcmKeys(q)...)
			if q.listen != "" {
				dir, err := l.folder("gdcm")
				if err != nil {
					return err
				}
				args = append(args, "--port-scp", q.listen, "-o", dir)
			}
			return scu(ctx, port, args...)
		}
	}
	return querier{name: "gdcmscu", title: "GDCM", own: true, bound: true, find: ask("--find"), move: ask("--move")}
}

func gdcmKeys(q question) []string {
	args := []string{"--studyroot"}
	if q.patientRoot {
		args[0] = "--patientroot"
	}
	args = append(args, map[string]string{"PATIENT": "--patient", "STUDY": "--study", "IMAGE": "--image"}[q.level])
	for _, k := range q.keys {
		word, value, _ := strings.Cut(k, "=")
		if tags[word] != "" {
			args = append(args, "--key", tags[word]+"="+value)
		}
	}
	return args
}
