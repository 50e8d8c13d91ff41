//go:build mutant_noparentsync

package spool

const mutant = "noparentsync"
