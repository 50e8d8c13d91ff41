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
