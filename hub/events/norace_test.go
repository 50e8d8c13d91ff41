//go:build !race

package events

const racing = false
