package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/tools/lab"
	"edged/internal/tools/tlscopy"
)

// putVerb is the server that curl puts files to.
const putVerb = "take-puts"

// takePuts is `ADDRESS DIR`. Its windows are larger than any line of the table
// needs, so that flow control of HTTP/2 costs nothing.
func takePuts(args []string) error {
	if len(args) != 2 {
		return errors.New("want ADDRESS DIR")
	}
	cert, err := tlscopy.Certificate()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: args[0], Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { put(args[1], w, r) }), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerConnection: 16 << 20, MaxReceiveBufferPerStream: 16 << 20, MaxReadFrameSize: 256 << 10},
	}
	return server.ListenAndServeTLS("", "")
}

// put writes one file; what is not PUT is refused.
func put(dir string, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		http.Error(w, "want PUT", http.StatusMethodNotAllowed)
		return
	}
	f, err := os.Create(filepath.Join(dir, filepath.Base(r.URL.Path)))
	if err == nil {
		_, err = io.Copy(f, r.Body)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// curl uploads all files over one connection, 32 at a time.
func curl(ctx context.Context, c *cell) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	into := filepath.Join(c.dir, "in")
	if err := os.Mkdir(into, 0o700); err != nil {
		return outcome{}, err
	}
	list, err := c.curlList()
	if err != nil {
		return outcome{}, err
	}
	receiver, err := c.listener(ctx, "put", nil, self, putVerb, c.far.at(c.port), into)
	if err != nil {
		return outcome{}, err
	}
	defer receiver.Stop()
	return c.transfer(ctx, receiver, into, lab.Command(ctx, nil, c.near.prefix(),
		"curl", "--silent", "--show-error", "--fail", "--insecure", "--http2", "--parallel", "--parallel-max", "32", "--config", list))
}

// curlList is one upload after the other, as curl's --config wants it.
func (c *cell) curlList() (string, error) {
	var text strings.Builder
	for i := range c.count {
		name := fmt.Sprintf("%06d.dcm", i)
		fmt.Fprintf(&text, "upload-file = %q\nurl = \"https://%s/%s\"\n", filepath.Join(c.files, name), c.far.at(c.port), name)
	}
	path := filepath.Join(c.dir, "curl.txt")
	return path, os.WriteFile(path, []byte(text.String()), 0o600)
}
