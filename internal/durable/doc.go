// Package durable writes small files so that they are there after a power cut:
// keys, certificates, markers, settings.
//
// It promises that WriteFile returns only after the bytes and the name are on
// the disk, and that a reader sees either the old file or the new one, never a
// mixture. Two who write the same files keep each other out with Lock; nothing
// here locks by itself. ReadFile takes no more into memory than a file of its kind may
// hold. The package deliberately does not stream, and never tries an fsync
// a second time: after an error the caller must assume nothing about what is on
// the disk (P8).
package durable
