//go:build race

package dimse

const raceEnabled = true
