package objects_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"edged/hub/objects"
)

// The urgent go first, the others in the order they came, and who gives up keeps no place.
func TestPartsGoByUrgency(t *testing.T) {
	turns, ctx := objects.NewTurns(1), context.Background()
	if err := turns.Take(ctx, 1); err != nil {
		t.Fatal(err)
	}
	order := make(chan string)
	wait := func(name string, class uint8, ctx context.Context) {
		before := turns.Waiting(int(class))
		go func() {
			if err := turns.Take(ctx, class); err != nil {
				name += " gave up"
			}
			order <- name
		}()
		for turns.Waiting(int(class)) == before {
			runtime.Gosched()
		}
	}
	impatient, leave := context.WithCancel(ctx)
	wait("backfill", 2, ctx)
	wait("routine 1", 1, ctx)
	wait("impatient", 0, impatient)
	wait("routine 2", 1, ctx)
	wait("urgent", 0, ctx)
	leave()
	got := []string{<-order}
	for range 4 {
		turns.Give()
		got = append(got, <-order)
	}
	if want := []string{"impatient gave up", "urgent", "routine 1", "routine 2", "backfill"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	turns.Give()
	if err := turns.Take(impatient, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with no time left: %v", err)
	}
	if err := turns.Take(ctx, 9); err != nil {
		t.Error(err)
	}
}

// However large, an object has at most as many parts as S3 allows, and whoever cuts it
// finds the same ones.
func TestPartsAreCutBySizeAlone(t *testing.T) {
	for _, size := range []int64{17 << 20, 80 << 30, 5 << 40} {
		step := objects.PartSize(size)
		if parts := (size + step - 1) / step; parts > 10_000 || step < 8<<20 || step%(1<<20) != 0 {
			t.Errorf("%d bytes: %d parts of %d", size, parts, step)
		}
	}
}

func TestTheURLOfABucket(t *testing.T) {
	for text, want := range map[string]string{
		"s3://images?endpoint=127.0.0.1:9000&tls=false":                          "{127.0.0.1:9000 us-east-1 images  false}",
		"s3://images/hub/one/?endpoint=s3.hospital&region=north":                 "{s3.hospital north images hub/one true}",
		"s3://images?endpoint=s3.eu-central-1.amazonaws.com&region=eu-central-1": "{s3.eu-central-1.amazonaws.com eu-central-1 images  true}",
		"s3://images":                      "endpoint=: want HOST:PORT",
		"s3://images?endpoint=http://h:1":  "endpoint=http://h:1: want HOST:PORT",
		"s3://images?endpoint=h:x":         "endpoint=h:x: no port",
		"s3://images?endpoint=h&tls=maybe": "tls=maybe: want true or false",
		"s3://images?endpoint=h&secret=x":  "secret= is not known",
		"s3://A:hunter2@images?endpoint=h": "holds keys",
		"s3://Images?endpoint=h":           "no name of a bucket",
		"s3://images/../x?endpoint=h":      "no prefix",
		"https://images?endpoint=h":        `begins with "https:"`,
		"s3://im ages":                     "is no URL",
	} {
		b, err := objects.ParseBucket(text)
		got := fmt.Sprint(struct {
			Endpoint, Region, Name, Prefix string
			Secure                         bool
		}{b.Endpoint, b.Region, b.Name, b.Prefix, b.Secure})
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	b := objects.Bucket{Endpoint: "h:1", Name: "images", AccessKey: "hunter", SecretKey: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb+verb, b, &b); strings.Contains(text, "hunter") {
			t.Errorf("%s tells a key: %s", verb, text)
		}
	}
}
