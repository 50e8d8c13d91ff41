//go:build mutant_nosealcheck

package spool

const mutant = "nosealcheck"
