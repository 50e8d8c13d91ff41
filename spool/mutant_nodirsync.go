//go:build mutant_nodirsync

package spool

const mutant = "nodirsync"
