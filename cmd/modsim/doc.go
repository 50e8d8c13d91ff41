// Command modsim is a modality simulator: it makes synthetic studies
// (internal/synth), writes them as files or sends them by C-STORE at a rate, and
// it can behave as badly as real modalities do.
//
// It promises that what it sends is a function of seed and profile, that it tells
// apart what was answered 0000H from what was not, and that everything it does
// ends. It deliberately does no more DICOM than that: edged echo and edged send
// are the tools for real files.
package main
