package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"edged/dimse"
)

// commit asks for storage commitment. Orthanc releases its association at once and
// waits for the report on one of ours.
func (s *server) commit(ctx context.Context, l *lab, references []string) (string, error) {
	t, err := newTap("127.0.0.1:"+l.edged.ports["ORTHANC"], "127.0.0.1:"+s.port)
	if err != nil {
		return "", err
	}
	defer t.close()
	if err := s.point(ctx, l.edged.port, s.title, false); err != nil {
		return "", err
	}
	var pairs [][]string
	for pair := range slices.Chunk(references, 2) {
		pairs = append(pairs, pair)
	}
	var asked struct{ ID string }
	if err := fetch(ctx, http.MethodPost, s.url("/modalities/edged/storage-commitment"), map[string]any{"DicomInstances": pairs}, &asked); err != nil {
		return "", err
	}
	var report struct {
		Status   string
		Success  []struct{ SOPInstanceUID string }
		Failures []struct {
			SOPInstanceUID string
			FailureReason  uint16
		}
	}
	err = await(ctx, 60*time.Second, "the report to reach Orthanc", func() bool {
		return fetch(ctx, http.MethodGet, s.url("/storage-commitment/"+asked.ID), nil, &report) == nil && report.Status != "Pending"
	})
	var good []string
	for _, i := range report.Success {
		good = append(good, i.SOPInstanceUID)
	}
	slices.Sort(good)
	said := "committed " + strings.Join(good, " ")
	for _, i := range report.Failures {
		said += fmt.Sprintf("\nfailed %s %04X", i.SOPInstanceUID, i.FailureReason)
	}
	return said + map[string]string{"Success": "\ntype 1", "Failure": "\ntype 2"}[report.Status], err
}

// querier asks with the REST API.
func (s *server) querier() querier {
	return querier{name: "Orthanc", title: "ORTHANC", listens: s.port, bound: true,
		find: func(ctx context.Context, port string, q question) error {
			_, err := s.query(ctx, port, q)
			return err
		},
		move: func(ctx context.Context, port string, q question) error {
			id, err := s.query(ctx, port, q)
			if err != nil {
				return err
			}
			return fetch(ctx, http.MethodPost, s.url("/queries/"+id+"/retrieve"), map[string]any{"TargetAet": q.destination, "Timeout": 30}, nil)
		}}
}

func (s *server) query(ctx context.Context, port string, q question) (string, error) {
	if err := s.point(ctx, port, s.title, false); err != nil {
		return "", err
	}
	keys := map[string]string{}
	for _, k := range q.keys {
		word, value, _ := strings.Cut(k, "=")
		if word != "QueryRetrieveLevel" {
			keys[word] = value
		}
	}
	level := map[string]string{"PATIENT": "Patient", "STUDY": "Study", "IMAGE": "Instance"}[q.level]
	var made struct{ ID string }
	err := fetch(ctx, http.MethodPost, s.url("/modalities/edged/query"), map[string]any{"Level": level, "Query": keys}, &made)
	return made.ID, err
}

// committed asks Orthanc for commitment; it reports on an association to where it
// knows our title, some seconds later.
func (s *server) committed(ctx context.Context, l *lab) error {
	reports := &heard{}
	port, stop, err := l.hearing(reports)
	if err != nil {
		return err
	}
	if err := s.point(ctx, port, s.title, false); err != nil {
		return errors.Join(err, stop())
	}
	err = l.askCommitment(ctx, s.title, s.port, rowCommitNew, func(ctx context.Context, _ *dimse.Client, h *heard) error {
		err := await(ctx, 60*time.Second, "Orthanc to report", func() bool { return len(reports.all()) > 0 })
		h.results = reports.all()
		return err
	})
	return errors.Join(err, s.point(ctx, l.edged.port, s.title, false), stop())
}
