//go:build mutant_earlydelete

package spool

const mutant = "earlydelete"
