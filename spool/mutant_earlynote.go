//go:build mutant_earlynote

package spool

const mutant = "earlynote"
