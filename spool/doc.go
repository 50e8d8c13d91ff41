// Package spool keeps objects until they may be forgotten.
package spool
