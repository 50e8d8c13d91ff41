package ledger

import (
	"context"
	"sync"
	"testing"
)

// hubd run and hubd code new may both be the first to open a ledger.
func TestAnyNumberMayOpenANewLedgerAtOnce(t *testing.T) {
	rounds := 200 // one in a hundred fails when BUSY is not asked again
	if overPostgres() {
		rounds = 10
	}
	for range rounds {
		config := place(t, Config{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				l, err := Open(context.Background(), config)
				if err != nil {
					t.Error(err)
					return
				}
				l.Close()
			})
		}
		all.Wait()
	}
}
