//go:build mutant_clockorder

package spool

const mutant = "clockorder"
