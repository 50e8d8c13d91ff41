//go:build mutant_secondsync

package spool

const mutant = "secondsync"
