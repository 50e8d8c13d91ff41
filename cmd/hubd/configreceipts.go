package main

import "time"

// Receipts says when the receipts of a study are folded into one signed file, and
// how long that is kept.
type Receipts struct {
	FoldAfter time.Duration `yaml:"fold_after"`
	Keep      time.Duration `yaml:"keep"`
}

func defaultReceipts() Receipts {
	return Receipts{FoldAfter: 30 * 24 * time.Hour, Keep: 3653 * 24 * time.Hour}
}

// A younger receipt may still be needed as a row, and figures are counted before.
const minFoldAfter = 24 * time.Hour

func (r *Receipts) check(add func(key, format string, args ...any)) {
	if r.FoldAfter < minFoldAfter {
		add("receipts.fold_after", "%v: want at least 24h", r.FoldAfter)
	}
	if r.Keep < r.FoldAfter {
		add("receipts.keep", "%v: want at least fold_after; the default is ten years, 87672h", r.Keep)
	}
}
