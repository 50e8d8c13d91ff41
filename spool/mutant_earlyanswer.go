//go:build mutant_earlyanswer

package spool

const mutant = "earlyanswer"
