// Package tlscopy is the plain copy that the uplink is compared with: files over
// one TLS 1.3 connection, one behind the other, without resuming, without digests,
// without receipts. Each side is a process of its own, so that its CPU time is
// known; a tool that has the package starts itself for that.
//
// It promises no more than that every file was written when Send returns, and
// deliberately authenticates nobody: what is measured is the cipher. On the wire:
//
//	length (8 bytes, big endian) | contents      each file
//	1 byte, the other way                        all is written
package tlscopy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Verb is the first argument of a process that is one side.
const Verb = "tls-copy"

// limit bounds the whole copy.
const limit = 2 * time.Minute

// Run is `receive ADDRESS DIR flush|no-flush` or `send ADDRESS DIR SIZE`; SIZE is
// of the objects in the files that are sent.
func Run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "receive":
		return receive(args[1], args[2], args[3] == "flush")
	case len(args) == 4 && args[0] == "send":
		size, err := strconv.ParseInt(args[3], 10, 64)
		if err != nil {
			return err
		}
		return send(args[1], args[2], size)
	}
	return errors.New("want receive ADDRESS DIR flush|no-flush, or send ADDRESS DIR SIZE")
}

func receive(address, dir string, flush bool) error {
	cert, err := Certificate()
	if err != nil {
		return err
	}
	t, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer t.Close()
	t.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
	raw, err := t.Accept()
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(limit))
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	in := bufio.NewReaderSize(conn, 256<<10)
	for i := 0; ; i++ {
		var length int64
		err := binary.Read(in, binary.BigEndian, &length)
		if err != nil || length < 0 { // a negative length ends the copy
			break
		}
		if err := receiveFile(filepath.Join(dir, fmt.Sprint(i)), in, length, flush); err != nil {
			return err
		}
	}
	_, err = conn.Write([]byte{1})
	return err
}

func receiveFile(path string, in io.Reader, length int64, flush bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(f, in, length); err != nil {
		return err
	}
	if flush {
		return f.Sync()
	}
	return nil
}

// send prints the seconds from the connection to the other side's word that
// all is written, and the bytes.
func send(address, dir string, size int64) error {
	files, err := objectFiles(dir, size)
	if err != nil {
		return err
	}
	raw, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(limit))
	// Who answers is the process beside this one; what is measured is the cipher.
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err := conn.Handshake(); err != nil {
		return err
	}
	began := time.Now()
	var total int64
	buffer := make([]byte, 256<<10)
	for _, name := range files {
		n, err := sendFile(conn, name, buffer)
		if err != nil {
			return err
		}
		total += n
	}
	if err := binary.Write(conn, binary.BigEndian, int64(-1)); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return err
	}
	fmt.Println(time.Since(began).Seconds(), total)
	return nil
}

func sendFile(w io.Writer, name string, buffer []byte) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := binary.Write(w, binary.BigEndian, info.Size()); err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(w, struct{ io.Reader }{io.LimitReader(f, info.Size())}, buffer)
	if err == nil && n != info.Size() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// objectFiles are the files below dir that hold an object of this size.
func objectFiles(dir string, size int64) (files []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() >= size && info.Size() < 2*size {
			files = append(files, name)
		}
		return err
	})
	return files, err
}

// Certificate is one that nobody checks.
func Certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
