//go:build mutant_nosyncfs

package spool

const mutant = "nosyncfs"
