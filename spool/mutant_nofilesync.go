//go:build mutant_nofilesync

package spool

const mutant = "nofilesync"
