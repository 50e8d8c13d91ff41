//go:build mutant_indexahead

package spool

const mutant = "indexahead"
