package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// object is an instance of which every byte is known.
type object struct {
	dicom.Names
	id      dicom.ID
	dataSet []byte
	patient string
}

// perStudy is how many objects make one study of one patient.
const perStudy = 8

// makeObjects makes n objects of 10 to 300 KiB out of a seed; one in twenty has 2 MiB.
func makeObjects(seed uint64, n int) ([]object, error) {
	random := rand.New(rand.NewPCG(seed, 2))
	var all []object
	for len(all) < n {
		size := int64(5<<10+random.IntN(145<<10)) * 2
		if random.IntN(20) == 0 {
			size = 2 << 20
		}
		i := len(all)
		made, err := oneStudy(seed<<20+uint64(i/perStudy), i%perStudy, size)
		if err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	return all, nil
}

func oneStudy(seed uint64, number int, size int64) (o object, err error) {
	study := synth.Studies(seed, synth.Bench(perStudy, size))[0]
	i := study.Instances[number]
	r, _ := i.Open()
	if o.dataSet, err = io.ReadAll(r); err != nil {
		return o, fmt.Errorf("make an object: %w", err)
	}
	o.Names, o.patient = i.Names, study.PatientID
	hash := o.NewHash()
	hash.Write(o.dataSet)
	copy(o.id[:], hash.Sum(nil))
	return o, nil
}

func (o *object) store(ctx context.Context, c *dimse.Client) (dimse.Status, error) {
	rq := dimse.StoreRequest{SOPClassUID: o.SOPClass, SOPInstanceUID: o.SOPInstance, TransferSyntaxUID: o.TransferSyntax}
	answer, err := c.Store(ctx, rq, bytes.NewReader(o.dataSet))
	return answer.Status, err
}
