// Package synth makes DICOM studies out of a number: for tests, benchmarks,
// the demonstration and the modality simulator.
//
// It promises that Studies is a pure function: the same seed and profile give
// the same bytes, on any machine (all arithmetic on pixels is on integers,
// because Go may fuse floating-point operations on some processors). Only two
// things lean on the Go release: image/jpeg for the JPEG Baseline frames and
// compress/flate for the deflated object; a golden test says when they move.
// Every patient is invented and says so: family name PROVA, ID PROVA-....
// Nothing here was taken from a real image, so it may be given to anybody.
//
// Instances are made when they are opened, one at a time, and what can be larger
// than memory is a stream.
//
// It deliberately is not a general writer: it knows the attributes that its own
// objects need (dictionary.go), fills the type 1 attributes of each IOD of PS3.3
// as far as they bear on storing and reading, and cannot read anything back.
//
// A demonstration is these studies:
//
//	CT  200 slices 512x512   Explicit VR Little Endian      SIMCT
//	      4 thick slices     JPEG Lossless SV1
//	MR   12 slices 256x256   RLE Lossless                   SIMMR
//	      1 localizer        Explicit VR Big Endian
//	US    1 clip, 20 frames  JPEG Baseline, YBR_FULL_422    SIMUS
//	      1 still, RGB       Explicit VR Little Endian
//	MG    2 views 1914x2294  JPEG Lossless SV1              SIMMG
//	SR    Comprehensive SR   Implicit VR Little Endian      SIMSR
//	      Basic Text SR      Deflated Explicit VR
//
// Gap: the image/jpeg encoder subsamples colour by two in both directions (4:2:0),
// while YBR_FULL_422 names 4:2:2; files of ultrasound machines do the same, and a
// decoder goes by the factors in the JPEG stream.
package synth
