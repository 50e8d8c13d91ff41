package dicom

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// MediaStorageDirectory is the SOP class of a DICOMDIR (PS3.10 §8.6): an index
// of the files around it, never an instance to send.
const MediaStorageDirectory = "1.2.840.10008.1.3.10"

// File is an open DICOM file positioned at its data set.
type File struct {
	Names
	Size int64 // of the data set
	*bufio.Reader
	f *os.File
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// OpenFile opens a file and finds out what it is: a Part 10 file, or a bare data
// set as it was written before Part 10, in one of the three oldest transfer
// syntaxes. ErrNotPart10 means that it is neither.
func OpenFile(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	d := &File{f: f, Reader: bufio.NewReaderSize(f, HeaderWindow)}
	if err := d.identify(info.Size()); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func (f *File) identify(size int64) (err error) {
	var taken int64
	f.Names, taken, err = ReadPreface(f.Reader)
	f.Size = size - taken
	if err == nil || !errors.Is(err, ErrNotPart10) || taken > 0 {
		return err
	}
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f.Reader.Reset(f.f)
	window, _ := f.Peek(HeaderWindow) // short files are whole in it
	names, ok := guess(window)
	if !ok {
		return ErrNotPart10
	}
	f.Names, f.Size = names, size
	return nil
}

// guess takes bytes for a bare data set if they read as one and name both SOP UIDs.
func guess(window []byte) (Names, bool) {
	for _, ts := range []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian} {
		h, err := ReadHeader(window, ts)
		if err == nil && ValidUID(h.SOPClass) && ValidUID(h.SOPInstance) {
			return Names{TransferSyntax: ts, SOPClass: h.SOPClass, SOPInstance: h.SOPInstance}, true
		}
	}
	return Names{}, false
}
